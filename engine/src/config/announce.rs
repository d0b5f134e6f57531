//! `announce:`, `router:` and `bird:`: which VIPs the router announces, when, which router it is and how it is reached.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::complaint::Complaint;
use super::min_up::{MinUp, min_up};
use super::model::{Announce, Bird, Last, Ports, Router, WhenVppAway};
use super::report::Report;
use super::section::Section;
use super::show;
use super::values::{HOUR, boolean, duration, integer, text};
use super::yaml::Node;

/// Keys of `announce:`.
pub(super) const ANNOUNCE_KEYS: &[&str] =
    &["enabled", "hold-down", "hysteresis", "last", "min-up", "ports", "when-vpp-away"];
/// Keys of `bird:`.
pub(super) const BIRD_KEYS: &[&str] = &["prefix", "socket"];

pub(super) const HYSTERESIS: RangeInclusive<u32> = 0..=10_000;
pub(super) const HOLD_DOWN: RangeInclusive<Duration> = Duration::ZERO..=HOUR;

/// BIRD's names have 64 characters; an IPv6 address takes 39 of them, and `_gshut` six.
const LONGEST_PREFIX: usize = 16;
/// The maximum length of a path that fits a unix socket's address.
const LONGEST_SOCKET: usize = 107;

impl Ports {
    pub(super) const NAMES: [(&'static str, Ports); 2] = [("all", Ports::All), ("any", Ports::Any)];
}

impl Last {
    pub(super) const NAMES: [(&'static str, Last); 2] = [("keep", Last::Keep), ("withdraw", Last::Withdraw)];
}

impl WhenVppAway {
    pub(super) const NAMES: [(&'static str, WhenVppAway); 2] =
        [("withdraw", WhenVppAway::Withdraw), ("keep", WhenVppAway::Keep)];
}

/// Words of `router:`, each with whether it is BIRD.
pub(super) const ROUTERS: [(&str, bool); 2] = [("bird", true), ("kernel", false)];

/// Defaults of `announce:`.
pub(super) const DEFAULT_ANNOUNCE: Announce = Announce {
    min_up: MinUp::Count(1),
    hysteresis: 0,
    hold_down: Duration::from_secs(10),
    ports: Ports::All,
    last: Last::Keep,
    when_vpp_away: WhenVppAway::Withdraw,
};

/// Defaults of `bird:`.
pub(super) const DEFAULT_SOCKET: &str = "/run/bird/bird.ctl";
pub(super) const DEFAULT_PREFIX: &str = "maglev_";

/// Reads `router:` and `bird:`.
pub(super) fn router(maglev: &Section<'_>, report: &mut Report<'_>) -> Router {
    let (is_bird, bird) = (maglev.read_or("router", true, word(&ROUTERS), report), bird(maglev, report));
    if is_bird {
        return Router::Bird(bird);
    }
    if let Some(place) = maglev.key_place("bird") {
        report.warning(place, "`bird` has no effect with `router: kernel`", "remove one of them");
    }
    Router::Kernel
}

fn bird(maglev: &Section<'_>, report: &mut Report<'_>) -> Bird {
    let bird = Bird { socket: DEFAULT_SOCKET.into(), prefix: DEFAULT_PREFIX.to_owned() };
    let Some(section) = maglev.section("bird", "`bird`", BIRD_KEYS, report) else { return bird };
    Bird {
        socket: section.read_or("socket", bird.socket, socket, report),
        prefix: section.read_or("prefix", bird.prefix, prefix, report),
    }
}

fn socket(node: &Node) -> Result<PathBuf, Complaint> {
    let path = text(node)?;
    if path.starts_with('/') && path.len() <= LONGEST_SOCKET {
        return Ok(path.into());
    }
    Err(Complaint::invalid(
        format!("is {}, which is no absolute path of a unix socket", show(&path)),
        format!("write BIRD's control socket, like `{DEFAULT_SOCKET}`"),
    ))
}

fn prefix(node: &Node) -> Result<String, Complaint> {
    let prefix = text(node)?;
    let fits = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let begins = prefix.starts_with(|char: char| char.is_ascii_alphabetic());
    if begins && prefix.len() <= LONGEST_PREFIX && prefix.chars().all(fits) {
        return Ok(prefix);
    }
    Err(Complaint::invalid(
        format!("is {}, which cannot begin a name in BIRD's configuration", show(&prefix)),
        format!(
            "write a letter, then letters, digits and `_`, {LONGEST_PREFIX} in all, like `{DEFAULT_PREFIX}`"
        ),
    ))
}

/// Reads `announce:` of all frontends or of one; `defaults` apply to the latter. `None` if nothing is to be announced.
pub(super) fn announce(
    above: &Section<'_>,
    defaults: Option<&Announce>,
    report: &mut Report<'_>,
) -> Option<Announce> {
    let Some(section) = above.section("announce", above.subject("announce"), ANNOUNCE_KEYS, report) else {
        return defaults.cloned();
    };
    let base = defaults.cloned().unwrap_or(DEFAULT_ANNOUNCE);
    let announce = Announce {
        min_up: section.read_or("min-up", base.min_up, at_least_one, report),
        hysteresis: section.read_or("hysteresis", base.hysteresis, integer(HYSTERESIS), report),
        hold_down: section.read_or("hold-down", base.hold_down, duration(HOLD_DOWN), report),
        ports: section.read_or("ports", base.ports, word(&Ports::NAMES), report),
        last: section.read_or("last", base.last, word(&Last::NAMES), report),
        when_vpp_away: section.read_or(
            "when-vpp-away",
            base.when_vpp_away,
            word(&WhenVppAway::NAMES),
            report,
        ),
    };
    section.read_or("enabled", true, boolean, report).then_some(announce)
}

/// A route without any backend would serve nobody.
fn at_least_one(node: &Node) -> Result<MinUp, Complaint> {
    match min_up(node)? {
        nothing @ (MinUp::Count(0) | MinUp::Percent(0)) => Err(Complaint::invalid(
            format!("is {nothing}, and a route needs a backend"),
            "write at least `1`, or a percentage above 0%",
        )),
        some => Ok(some),
    }
}

/// One of two words.
pub(super) fn word<T: Copy>(words: &[(&'static str, T); 2]) -> impl FnOnce(&Node) -> Result<T, Complaint> {
    move |node| {
        let given = text(node)?;
        let found = words.iter().find(|(name, _)| *name == given);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let [(one, _), (other, _)] = words;
            Complaint::invalid(format!("is {}", show(&given)), format!("write `{one}` or `{other}`"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, parse};

    fn text(above: &str, one: &str, two: &str) -> String {
        format!(
            "
maglev:
  vpp: {{ lb: {{ ipv4-src-address: 192.0.2.1 }} }}
  backends: {{ a: {{ address: 10.0.0.1 }}, b: {{ address: 10.0.0.2 }} }}
{above}
  frontends:
    one: {{ address: 203.0.113.1, protocol: tcp, port: 80, {one} pools: [ {{ name: only, backends: {{ a: {{}}, b: {{}} }} }} ] }}
    two: {{ address: 203.0.113.1, protocol: tcp, port: 443, {two} pools: [ {{ name: only, backends: {{ a: {{}} }} }} ] }}
"
        )
    }

    fn read(above: &str, one: &str, two: &str) -> Config {
        let text = text(above, one, two);
        parse("test.yaml", &text).unwrap_or_else(|errors| panic!("{errors}")).config
    }

    #[test]
    fn a_frontend_s_own_keys_take_precedence() {
        let config = read("", "", "");
        assert!(config.frontends.values().all(|frontend| frontend.announce.is_none()));
        let bird = Bird { socket: DEFAULT_SOCKET.into(), prefix: DEFAULT_PREFIX.to_owned() };
        assert_eq!(config.router, Router::Bird(bird));
        let config = read(
            "  announce: { min-up: 50%, hold-down: 0 }\n  bird: { socket: /tmp/b.ctl, prefix: vip }",
            "announce: { min-up: 2, hysteresis: 1 },",
            "announce: { enabled: false },",
        );
        let base = Announce { hold_down: Duration::ZERO, ..DEFAULT_ANNOUNCE };
        let one = Announce { min_up: MinUp::Count(2), hysteresis: 1, ..base };
        assert_eq!(config.frontends["one"].announce, Some(one));
        assert_eq!(config.frontends["two"].announce, None);
        let bird = Bird { socket: "/tmp/b.ctl".into(), prefix: "vip".to_owned() };
        assert_eq!(config.router, Router::Bird(bird));
        let own = "announce: { ports: any, last: withdraw, when-vpp-away: keep },";
        let config = read("  router: kernel", own, "");
        assert_eq!(config.router, Router::Kernel);
        let announce = config.frontends["one"].announce.clone().unwrap();
        assert_eq!((announce.ports, announce.last), (Ports::Any, Last::Withdraw));
        assert_eq!(announce.when_vpp_away, WhenVppAway::Keep);
        let text = text("  router: kernel\n  bird: { prefix: vip }", "", "");
        let warnings = parse("test.yaml", &text).unwrap().warnings;
        assert!(warnings[0].summary().contains("`bird` has no effect"), "{}", warnings[0].summary());
    }

    #[test]
    fn what_cannot_be_announced_is_refused() {
        for (above, one, two, words) in [
            ("", "announce: { min-up: 3 },", "", "would never be announced"),
            ("", "announce: { min-up: 0 },", "", "a route needs a backend"),
            ("", "announce: { min-up: 0% },", "", "a route needs a backend"),
            ("", "announce: { min-up: many },", "", "must be a number or a percentage"),
            ("", "announce: { ports: some },", "", "write `all` or `any`"),
            ("", "announce: { hold-down: 2h },", "", "out of range"),
            (
                "",
                "announce: {},",
                "announce: { ports: any },",
                "differ in `hold-down`, `ports`, `last` or `when-vpp-away`",
            ),
            ("  router: frr", "", "", "write `bird` or `kernel`"),
            ("", "announce: { when-vpp-away: leave },", "", "write `withdraw` or `keep`"),
            ("  bird: { prefix: 1st }", "", "", "cannot begin a name in BIRD"),
            ("  bird: { socket: bird.ctl }", "", "", "no absolute path"),
            ("  announce: { min_up: 1 }", "", "", "did you mean `min-up`?"),
        ] {
            let errors = parse("test.yaml", &text(above, one, two)).unwrap_err().to_string();
            assert!(errors.contains(words), "{above} {one} {two}: {errors}");
        }
    }
}
