() => {
  const found = [];
  const visible = (element) => { const box = element.getBoundingClientRect(); return box.width > 1 && box.height > 1 && element.checkVisibility({ visibilityProperty: true }); };
  const shown = (element) => `${element.tagName.toLowerCase()}.${element.getAttribute('class') ?? ''} ${(element.textContent ?? '').trim().slice(0, 40)}`;
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const color = (text) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1); const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255]; };
  const over = ([r, g, b, a], [x, y, z]) => [r * a + x * (1 - a), g * a + y * (1 - a), b * a + z * (1 - a), 1];
  const light = ([r, g, b]) => { const one = (v) => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; return .2126 * one(r) + .7152 * one(g) + .0722 * one(b); };
  const ground = (element) => { const own = color(getComputedStyle(element).backgroundColor); if (own[3] >= 1) return own; return over(own, element.parentElement ? ground(element.parentElement) : [255, 255, 255, 1]); };
  const faint = (element) => element ? Number(getComputedStyle(element).opacity) * faint(element.parentElement) : 1;
  for (const element of document.querySelectorAll('body *')) {
    const texts = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (texts && visible(element) && !element.closest('.sr, svg, [disabled]')) {
      const back = ground(element), [r, g, b, a] = color(getComputedStyle(element).color);
      const front = over([r, g, b, a * faint(element)], back);
      const [one, other] = [light(front), light(back)].sort((x, y) => y - x), contrast = (one + .05) / (other + .05);
      if (contrast < 4.5) found.push(`contrast ${contrast.toFixed(2)}: ${shown(element)}`);
    }
    const name = () => element.getAttribute('aria-label') || element.textContent.trim() || element.title || element.labels?.[0]?.textContent.trim();
    if (/^(BUTTON|A|INPUT|SELECT)$/.test(element.tagName) && !name()) found.push(`no name: ${shown(element)}`);
    if (element.tagName === 'svg' && !element.getAttribute('aria-label') && element.getAttribute('aria-hidden') !== 'true') found.push(`no words: ${shown(element)}`);
    if (element.hasAttribute('style') && element.closest('noscript')) found.push(`style: ${shown(element)}`);
  }
  const ids = [...document.querySelectorAll('[id]')].map((element) => element.id);
  for (const id of ids) if (id !== 'hatch' && ids.indexOf(id) !== ids.lastIndexOf(id)) found.push(`id twice: ${id}`);
  if (!document.documentElement.lang) found.push('no language');
  if (!document.querySelector('h1')) found.push('no heading');
  if (document.documentElement.scrollWidth > innerWidth) found.push(`wider than the window: ${document.documentElement.scrollWidth}`);
  const main = document.querySelector('main');
  if (main.scrollWidth > main.clientWidth) found.push(`main is wider than the window: ${main.scrollWidth} > ${main.clientWidth}`);
  return [...new Set(found)].slice(0, 20);
}
