//! `top`: a live screen of frontends or backends.
//!
//! One task for each server reads what the screen shows, reconnects, and publishes; it ends with the screen, and may be
//! aborted at any point, since it only reads. `rates` compares counters, `app` is what the keys have made of the screen,
//! `render::top` makes its lines, `terminal` takes the terminal and gives it back.

pub(crate) mod app;
pub(crate) mod rates;
mod terminal;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::time::Duration;

use crossterm::event::{Event, EventStream};
use futures::StreamExt;
use maglev_daemon::retry::backoff;
use maglev_proto::client::{ServerAddress, TlsFiles};
use maglev_proto::{Backend, Frontend, VpplbCounters};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::args::{Options, Top};
use crate::client::Client;
use crate::error::Error;
use crate::once::{now, palette, print};
use crate::render;
use crate::watch::Reader;
use app::{App, View};
use rates::{Meter, Reading};
use terminal::Terminal;

/// Time between two pictures: ages advance while nothing arrives.
const PICTURE: Duration = Duration::from_millis(500);
/// The start of the screen on the clock of readings.
const BEFORE: Duration = Duration::from_secs(3600);

/// Rows of one server.
#[derive(Debug, Clone, Default)]
pub(crate) enum List {
    #[default]
    None,
    /// With packets, new flows and dropped packets per second, by name.
    Frontends(Vec<Frontend>, BTreeMap<String, [f64; 3]>),
    /// With packets and bytes per second, by name.
    Backends(Vec<Backend>, BTreeMap<String, [f64; 2]>),
}

/// The state of one server.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    pub(crate) server: String,
    pub(crate) list: List,
    /// When it was read.
    pub(crate) read: Option<Instant>,
    /// Why nothing newer could be read.
    pub(crate) error: Option<String>,
    /// Number of lists read.
    pub(crate) count: u64,
}

/// Runs it until a key, a signal, or the last picture of a batch.
pub(crate) async fn run(top: &Top, options: &Options) -> Result<u8, Error> {
    if options.json {
        return Err(Error::Usage("`top` has no JSON; `show frontends` and `show backends` have".to_owned()));
    }
    let app = App { view: top.view.unwrap_or_default(), ..App::default() };
    let (view, _) = watch::channel(app.view);
    let mut tasks = JoinSet::new();
    let servers = options.servers().into_iter();
    let feeds: Vec<_> = servers
        .map(|server| {
            let (feed, published) = watch::channel(Feed {
                server: server.to_string(),
                list: List::None,
                read: None,
                error: None,
                count: 0,
            });
            let follower = Follower {
                server,
                tls: options.tls.clone(),
                timeout: options.timeout,
                interval: top.interval,
                view: view.subscribe(),
                feed,
            };
            tasks.spawn(follower.run());
            published
        })
        .collect();
    let is_terminal = io::stdout().is_terminal() && io::stdin().is_terminal();
    if top.batch || !is_terminal {
        batch(app, top, &feeds, is_terminal, options).await
    } else {
        screen(app, &view, &feeds, &mut tasks, options).await.map_err(Error::Output)?;
        Ok(0)
    }
}

fn newest(feeds: &[watch::Receiver<Feed>]) -> Vec<Feed> {
    feeds.iter().map(|feed| feed.borrow().clone()).collect()
}

/// Prints lists one after the other. Each server is read twice before the first one, so that it has rates.
async fn batch(
    app: App,
    top: &Top,
    feeds: &[watch::Receiver<Feed>],
    is_terminal: bool,
    options: &Options,
) -> Result<u8, Error> {
    // Without a terminal nobody can end it.
    let most = top.num.or((!top.batch && !is_terminal).then_some(1));
    let mut wanted = 2;
    let mut printed = 0;
    let mut feeds = feeds.to_vec();
    while most.is_none_or(|most| printed < most) {
        for feed in &mut feeds {
            // Ends only with its task.
            drop(feed.wait_for(|feed| feed.count >= wanted || feed.error.is_some()).await);
        }
        let shown = newest(&feeds);
        if printed == 0 && shown.iter().all(|feed| feed.read.is_none()) {
            let errors: Vec<_> = shown.into_iter().filter_map(|feed| feed.error).collect();
            return Err(Error::NoAnswer(errors.join("; ")));
        }
        wanted = shown.iter().map(|feed| feed.count).max().unwrap_or(wanted) + 1;
        let lines = render::top::screen(&app, &shown, Instant::now(), now(), None, palette(options));
        let gap = if printed == 0 { "" } else { "\n" };
        if let Reader::Gone = print(format!("{gap}{}\n", lines.join("\n")).as_bytes())? {
            return Ok(0);
        }
        printed += 1;
        if most.is_none_or(|most| printed < most) {
            sleep(top.interval).await;
        }
    }
    Ok(0)
}

async fn screen(
    mut app: App,
    view: &watch::Sender<View>,
    feeds: &[watch::Receiver<Feed>],
    tasks: &mut JoinSet<()>,
    options: &Options,
) -> io::Result<()> {
    let mut ends = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let terminal = Terminal::take()?;
    let mut keys = EventStream::new();
    let mut ticks = interval(PICTURE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shown = newest(feeds);
    let mut at = (Instant::now(), now());
    loop {
        let signalled = futures::future::select_all(ends.iter_mut().map(|end| {
            Box::pin(async move {
                match end {
                    Ok(end) => drop(end.recv().await),
                    Err(_) => std::future::pending().await,
                }
            })
        }));
        let size = terminal.size();
        tokio::select! {
            _ = signalled => return Ok(()),
            // They end by a panic only, whose words are on the terminal.
            _ = tasks.join_next() => return Err(io::Error::other("a part of `top` has panicked")),
            _ = ticks.tick() => {}
            event = keys.next() => match event {
                Some(Ok(Event::Key(key))) => {
                    let (room, rows) = render::top::rows(&app, &shown, size);
                    if app.key(key, room, rows) {
                        return Ok(());
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
        }
        view.send_if_modified(|view| std::mem::replace(view, app.view) != app.view);
        if !app.is_paused {
            shown = newest(feeds);
            at = (Instant::now(), now());
        }
        let (columns, lines) = size;
        let palette = palette(options).within(Some(columns));
        terminal.draw(&render::top::screen(&app, &shown, at.0, at.1, Some(lines), palette))?;
    }
}

/// Reads from one server.
struct Follower {
    server: ServerAddress,
    tls: TlsFiles,
    timeout: Duration,
    interval: Duration,
    view: watch::Receiver<View>,
    feed: watch::Sender<Feed>,
}

/// Counters since the start of the screen, for rates.
struct Meters {
    start: Instant,
    frontends: Meter<3>,
    backends: Meter<2>,
}

impl Follower {
    async fn run(mut self) {
        let mut meters =
            Meters { start: Instant::now(), frontends: Meter::default(), backends: Meter::default() };
        let mut failures = 0;
        loop {
            let Err(error) = self.follow(&mut meters, &mut failures).await;
            self.feed.send_modify(|feed| feed.error = Some(error.to_string()));
            failures += 1;
            sleep(backoff(failures)).await;
        }
    }

    async fn follow(
        &mut self,
        meters: &mut Meters,
        failures: &mut u32,
    ) -> Result<std::convert::Infallible, Error> {
        let client = Client::connect(&self.server, &self.tls, self.timeout).await?;
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                // Its sender lives as long as the screen.
                _ = self.view.changed() => {}
            }
            let view = *self.view.borrow_and_update();
            let list = meters.read(&client, view).await?;
            *failures = 0;
            self.feed.send_modify(|feed| {
                (feed.list, feed.read, feed.error) = (list, Some(Instant::now()), None);
                feed.count += 1;
            });
        }
    }
}

impl Meters {
    async fn read(&mut self, client: &Client, view: View) -> Result<List, Error> {
        Ok(match view {
            View::Frontends => {
                let list = client.frontends().await?.frontends;
                let (at_ms, counters) = self.counters(client).await;
                let vips = counters.iter().flat_map(|counters| &counters.vips);
                self.frontends.feed(vips.filter(|vip| !vip.frontend.is_empty()).map(|vip| {
                    let forwarded = vip.existing_sessions.saturating_add(vip.first_session);
                    let packets = forwarded.saturating_add(vip.untracked).saturating_add(vip.no_server);
                    let key = format!("{} {} {}", vip.prefix, vip.protocol, vip.port);
                    let counts = [packets, vip.first_session, vip.no_server];
                    ((vip.frontend.clone(), key), Reading { at_ms, counts })
                }));
                List::Frontends(list, self.frontends.rates())
            }
            View::Backends => {
                let list = client.backends().await?.backends;
                let (at_ms, _) = self.counters(client).await;
                self.backends.feed(list.iter().filter_map(|backend| {
                    let counts = [backend.sent_packets?, backend.sent_bytes?];
                    Some(((backend.name.clone(), backend.address.clone()), Reading { at_ms, counts }))
                }));
                List::Backends(list, self.backends.rates())
            }
        })
    }

    /// VPP's counters, and when they were read. The brain answers with the same reading for up to two seconds, also in its
    /// lists, which do not tell its age. Without the agent there are none, and no rates.
    async fn counters(&self, client: &Client) -> (u64, Option<VpplbCounters>) {
        let counters = client.vpp_lb_counters("").await.ok();
        let age = Duration::from_millis(counters.as_ref().map_or(0, |counters| counters.age_ms));
        // They may be older than the screen.
        let at = (BEFORE + self.start.elapsed()).saturating_sub(age);
        (at.as_millis().try_into().unwrap_or(u64::MAX), counters)
    }
}
