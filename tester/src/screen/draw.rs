//! The picture. A narrow screen has the panels below each other, a wide one beside each other.

use maglev_tester::report::{self, percent};
use maglev_tester::snapshot::{FlowsSnapshot, Snapshot, VipSnapshot, VipState};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table, TableState};

use super::app::App;

/// Columns from which on panels stand beside each other, and VIPs have more columns.
const WIDE: u16 = 120;
/// Lines of the VIPs' panel besides its rows: the border, and the headings.
const FRAME: u16 = 2;

/// What a picture shows.
#[derive(Debug)]
pub(super) struct Scene<'s> {
    pub(super) snapshot: &'s Snapshot,
    pub(super) is_paused: bool,
    pub(super) is_coloured: bool,
}

impl Scene<'_> {
    fn colour(&self, colour: Color) -> Style {
        if self.is_coloured { Style::new().fg(colour) } else { Style::new() }
    }
}

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const FAINT: Style = Style::new().add_modifier(Modifier::DIM);

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App, scene: &Scene<'_>) {
    let (rows, place) = app.rows(scene.snapshot);
    let area = frame.area();
    let most = (area.height / 3).max(3);
    let wanted = u16::try_from(rows.len()).unwrap_or(u16::MAX).saturating_add(FRAME);
    let [top, vips, details, bottom] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(wanted.clamp(3, most)),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(title(app, scene, rows.len()), top);
    vip_table(frame, vips, &rows, place, scene);
    match rows.get(place) {
        Some(vip) => panels(frame, details, vip, scene),
        None => frame.render_widget(Paragraph::new("No VIP matches the filter; Esc clears it."), details),
    }
    frame.render_widget(keys(app), bottom);
}

fn title<'t>(app: &App, scene: &Scene<'_>, shown: usize) -> Line<'t> {
    let Snapshot { vips, elapsed, brain_error, .. } = scene.snapshot;
    let all = vips.len();
    let mut words = vec![
        Span::styled("maglevt", BOLD),
        Span::raw(format!("  {elapsed:.0} s  {shown} of {all} VIPs  by {}", app.sort.word())),
    ];
    if scene.is_paused {
        words.push(Span::styled("  PAUSED", scene.colour(Color::Yellow).add_modifier(Modifier::BOLD)));
    }
    if let Some(error) = brain_error {
        words.push(Span::styled(format!("  brain: {error}"), scene.colour(Color::Yellow)));
    }
    Line::from(words)
}

fn keys<'t>(app: &App) -> Line<'t> {
    if app.is_typing || !app.filter.is_empty() {
        let cursor = if app.is_typing { "_" } else { "" };
        return Line::raw(format!("filter: {}{cursor}  Enter keeps it, Esc clears it", app.filter));
    }
    Line::styled("q quit  p pause  r reset  s sort  / filter  Tab and arrows choose a VIP", FAINT)
}

fn vip_table(frame: &mut Frame<'_>, area: Rect, rows: &[&VipSnapshot], place: usize, scene: &Scene<'_>) {
    let is_wide = area.width >= WIDE;
    let mut head = vec!["VIP", "State", "Sent", "Failed", "Success", "p50 ms", "p95", "p99", "Max"];
    let mut widths = vec![
        Constraint::Fill(1),
        Constraint::Length(7),
        Constraint::Length(8),
        Constraint::Length(7),
        Constraint::Length(8),
        Constraint::Length(7),
        Constraint::Length(6),
        Constraint::Length(6),
        Constraint::Length(6),
    ];
    if is_wide {
        head.extend(["Outages", "Longest", "Address", "Last"]);
        widths.extend([
            Constraint::Length(7),
            Constraint::Length(10),
            Constraint::Length(24),
            Constraint::Fill(2),
        ]);
    }
    let table = Table::new(rows.iter().map(|vip| vip_row(vip, is_wide, scene)), widths)
        .header(Row::new(head).style(BOLD))
        .highlight_symbol("> ")
        .row_highlight_style(BOLD)
        .block(Block::new().borders(Borders::TOP).title("VIPs, the last hundred answers"));
    let mut state = TableState::new().with_selected((!rows.is_empty()).then_some(place));
    frame.render_stateful_widget(table, area, &mut state);
}

fn vip_row<'t>(vip: &VipSnapshot, is_wide: bool, scene: &Scene<'_>) -> Row<'t> {
    let style = match vip.state {
        VipState::Failing => scene.colour(Color::Red),
        VipState::Up if vip.failed > 0 => scene.colour(Color::Yellow),
        VipState::Up => scene.colour(Color::Green),
        VipState::Unknown => FAINT,
    };
    let latency = vip.last_hundred;
    let mut cells = vec![
        Cell::from(vip.vip.clone()),
        Cell::from(report::state(vip)).style(style),
        Cell::from(vip.sent.to_string()),
        Cell::from(vip.failed.to_string()).style(if vip.failed > 0 { style } else { Style::new() }),
        Cell::from(vip.success.map_or_else(|| "-".to_owned(), percent)),
    ];
    cells.extend(
        [latency.p50, latency.p95, latency.p99, latency.max].map(|ms| Cell::from(format!("{ms:.1}"))),
    );
    if is_wide {
        let longest = vip.outages.longest.as_ref();
        cells.extend([
            Cell::from(vip.outages.count.to_string()),
            Cell::from(longest.map_or_else(|| "-".to_owned(), |outage| format!("{} ms", outage.ms))),
            Cell::from(vip.address.clone()),
            Cell::from(vip.last.clone().unwrap_or_default()),
        ]);
    }
    Row::new(cells)
}

fn panels(frame: &mut Frame<'_>, area: Rect, vip: &VipSnapshot, scene: &Scene<'_>) {
    let flows = vip.flows.as_ref();
    let failures_and_flows = match flows {
        Some(_) => vec![Constraint::Fill(3), Constraint::Fill(2)],
        None => vec![Constraint::Fill(1)],
    };
    let (tally, rest) = if area.width >= WIDE {
        let [left, right] =
            Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).spacing(2).areas(area);
        (left, right)
    } else {
        let [upper, lower] = Layout::vertical([Constraint::Fill(2), Constraint::Fill(3)]).areas(area);
        (upper, lower)
    };
    tally_panel(frame, tally, vip, scene);
    let parts = Layout::vertical(failures_and_flows).split(rest);
    if let Some(area) = parts.first() {
        failures_panel(frame, *area, vip, scene);
    }
    if let (Some(area), Some(flows)) = (parts.get(1), flows) {
        flows_panel(frame, *area, vip, flows, scene);
    }
}

fn tally_panel(frame: &mut Frame<'_>, area: Rect, vip: &VipSnapshot, scene: &Scene<'_>) {
    let title = format!("Servers of {}", vip.vip);
    let block = Block::new().borders(Borders::TOP).title(title);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let remarks = u16::from(vip.chance.is_some()) + u16::from(!vip.balancers.is_empty());
    let [table, below] = Layout::vertical([Constraint::Fill(1), Constraint::Length(remarks)]).areas(inner);
    let part = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), percent);
    let rows = vip.servers.iter().map(|row| {
        // Those that get nothing now are faint, those that should not get anything stand out.
        let style = if row.unexpected {
            scene.colour(Color::Red).add_modifier(Modifier::BOLD)
        } else if row.recent > 0.0 {
            Style::new()
        } else {
            FAINT
        };
        let mark = if row.unexpected { "has no buckets" } else { "" };
        let cells = [
            row.server.clone(),
            row.answers.to_string(),
            percent(row.recent),
            percent(row.run),
            part(row.compared),
            part(row.expected),
            mark.to_owned(),
        ];
        Row::new(cells).style(style)
    });
    let head = ["Server", "Answers", "Last 5 s", "Run", "Compared", "Expected", ""];
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(14),
    ];
    frame.render_widget(Table::new(rows, widths).header(Row::new(head).style(BOLD)), table);
    let is_skewed = vip.chance.is_some_and(|p| p < report::SIGNIFICANT);
    let style = if is_skewed { scene.colour(Color::Yellow) } else { Style::new() };
    let mut lines: Vec<_> = report::chance(vip).into_iter().map(|words| Line::styled(words, style)).collect();
    if !vip.balancers.is_empty() {
        let balancers = vip.balancers.iter().map(|(name, answers)| format!("{name} {answers}"));
        lines.push(Line::raw(format!("Delivered by: {}", balancers.collect::<Vec<_>>().join(", "))));
    }
    frame.render_widget(Paragraph::new(lines), below);
}

fn failures_panel(frame: &mut Frame<'_>, area: Rect, vip: &VipSnapshot, scene: &Scene<'_>) {
    let classes = vip.failures.iter().map(|(class, count)| format!("{class} {count}"));
    let classes = classes.collect::<Vec<_>>().join(", ");
    let title = if classes.is_empty() { "No failures".to_owned() } else { format!("Failures: {classes}") };
    let mut lines = Vec::new();
    if let Some(current) = &vip.outages.current {
        let style = scene.colour(Color::Red).add_modifier(Modifier::BOLD);
        lines.push(Line::styled(format!("Out now: {}", report::outage(current)), style));
    } else if let Some(longest) = &vip.outages.longest {
        lines.push(Line::raw(format!("Longest outage: {}", report::outage(longest))));
    }
    lines.extend(
        vip.newest_failures
            .iter()
            .map(|failure| Line::raw(format!("{}  {}", time_of_day(&failure.at), failure.words))),
    );
    let block = Block::new().borders(Borders::TOP).title(title);
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn flows_panel(
    frame: &mut Frame<'_>,
    area: Rect,
    vip: &VipSnapshot,
    flows: &FlowsSnapshot,
    scene: &Scene<'_>,
) {
    let is_lost = flows.broke + flows.moved + flows.stalled > 0;
    let style = if is_lost { scene.colour(Color::Yellow) } else { Style::new() };
    let servers = flows.servers.iter().map(|(server, flows)| format!("{server} {flows}"));
    let mut lines = vec![Line::raw(format!("By server: {}", servers.collect::<Vec<_>>().join(", ")))];
    lines.extend(flows.events.iter().map(|event| {
        let at = time_of_day(&event.at);
        Line::raw(format!("{at}  flow {} {}  {}", event.flow, event.event, event.words))
    }));
    let title = Line::styled(format!("Flows of {}: {}", vip.vip, report::counts(flows)), style);
    let block = Block::new().borders(Borders::TOP).title(title);
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// The time of day of an RFC 3339 time.
fn time_of_day(at: &str) -> &str {
    at.split_once('T').map_or(at, |(_, time)| time)
}

#[cfg(test)]
mod tests;
