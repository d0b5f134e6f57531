//! The command line.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use clap_complete::Shell;
use maglev_proto::client::{ServerAddress, TlsFiles};
use maglev_tester::client::Naming;
use maglev_tester::limits::Limits;
use maglev_tester::run::Options;
use maglev_tester::target::{Shape, Target, from_text};
use regex::Regex;

const MORE: &str = "\
Examples:
  maglevt                                      the VIPs of this machine's brain
  maglevt --config maglev.yaml --filter shop   VIPs of a configuration, by name
  maglevt --server lb1:17090 --report 60s      a table, to paste into a ticket
  maglevt --flows 50 --max-lost-flows 0 --report 5m
  maglevt https://198.51.100.1/health --host shop.example --max-fail 0 --report 30s
  maglevt --server lb1:17090 --sweep           a request through every bucket
  maglevt --prometheus 127.0.0.1:17093         a standing canary

Keys: q quits, p pauses the probes, r resets, s sorts, / filters, Tab and the
arrows choose a VIP.

Exit codes: 0 done, and within all limits; 1 a limit was exceeded; 2 wrong
usage, or a configuration that is not valid; 3 nothing could be tested: no
answer from maglev-brain, no VIP, or no request could be made.";

/// Tests the VIPs of a Maglev load balancer from outside, as their clients see them.
///
/// Each VIP gets a request every interval, over a connection of its own: HTTP or HTTPS if a check of its backends or its
/// port says so, else a TCP connection. maglevt shows who answers, how fast, and what fails for how long; with a brain
/// also whether the shares are those of VPP's buckets.
#[derive(Debug, Parser)]
#[command(name = "maglevt", version, after_help = MORE, max_term_width = 80)]
pub(crate) struct Arguments {
    /// VIPs to test: ADDRESS:PORT, IPv6 in brackets, with tcp://, udp://, http:// or https:// before it
    #[arg(value_name = "VIP", value_parser = from_text)]
    vips: Vec<Target>,
    /// Test the frontends of this maglev.yaml; may be repeated
    #[arg(long = "config", value_name = "FILE")]
    pub(crate) configs: Vec<PathBuf>,
    /// The brain to compare with, whose VIPs are tested if no others are named: HOST:PORT, tls:HOST:PORT
    /// or unix:PATH. Without VIPs and --config: that of this machine
    #[arg(long, env = "MAGLEV_SERVER", value_name = "ADDR")]
    server: Option<ServerAddress>,
    #[command(flatten)]
    pub(crate) tls: TlsFiles,
    /// Only VIPs whose name or address matches
    #[arg(long, value_name = "REGEX")]
    pub(crate) filter: Option<Regex>,

    /// From the start of a request to the start of the VIP's next one, with 10 % jitter
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = time)]
    interval: Duration,
    /// Longest time for a request
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = time)]
    timeout: Duration,
    /// Most requests to one VIP in a second
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    vip_rate: u32,
    /// Most requests in a second, those of flows and sweeps included
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate: u32,
    /// Host header and TLS server name; default: the check's
    #[arg(long, value_name = "NAME", value_parser = header_value)]
    host: Option<String>,
    /// Path of HTTP requests; default: the check's, or /
    #[arg(long, value_name = "PATH", value_parser = path)]
    uri: Option<String>,
    /// Response header that names the server; default: the first line of the body does
    #[arg(long, value_name = "NAME")]
    header: Option<String>,
    /// Response header that names the load balancer
    #[arg(long, value_name = "NAME")]
    balancer_header: Option<String>,
    /// Do not verify certificates
    #[arg(long)]
    insecure: bool,
    /// Keep connections between requests: they are then not hashed again
    #[arg(long)]
    keepalive: bool,
    /// Source address of requests; may be repeated, for IPv4 and IPv6
    #[arg(long = "source", value_name = "ADDR")]
    sources: Vec<IpAddr>,
    /// Test UDP VIPs with this datagram, to which a reply is expected
    #[arg(long, value_name = "TEXT")]
    pub(crate) udp_payload: Option<String>,

    /// Keep so many long-lived flows through each VIP, used once a second
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=10_000))]
    flows: u32,
    /// Instead of probing, make one request through each bucket of VPP's table; needs a brain
    #[arg(long)]
    pub(crate) sweep: bool,

    /// End after this time and print a table
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) report: Option<Duration>,
    /// Print a line of JSON every second, and a summary at the end
    #[arg(long)]
    pub(crate) json: bool,
    /// Serve metrics to Prometheus here; without a terminal, --report and --json, until stopped
    #[arg(long, value_name = "ADDR")]
    pub(crate) prometheus: Option<SocketAddr>,
    /// Exit with 1 if more requests fail
    #[arg(long, value_name = "N")]
    max_fail: Option<u64>,
    /// Exit with 1 if an outage of a VIP is longer
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    max_outage: Option<Duration>,
    /// Exit with 1 if a server's share is further from the one expected, as 1%
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    expect_share: Option<f64>,
    /// Exit with 1 if more flows break, move or stall
    #[arg(long, value_name = "N")]
    max_lost_flows: Option<u64>,
    /// When to colour; auto: unless NO_COLOR is set
    #[arg(long, env = "MAGLEV_COLOR", value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,

    /// Print a completion script, for bash, zsh or fish
    #[arg(long, value_name = "SHELL", hide = true)]
    pub(crate) completions: Option<Shell>,
    /// Print the manual page
    #[arg(long, hide = true)]
    pub(crate) man: bool,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

impl Arguments {
    /// VIPs of the command line.
    pub(crate) fn vips(&self) -> &[Target] {
        &self.vips
    }

    /// The brain to ask, if there is one to.
    pub(crate) fn brain(&self) -> Option<ServerAddress> {
        let named = self.server.clone();
        let by_itself = self.vips.is_empty() && self.configs.is_empty();
        named.or_else(|| by_itself.then(ServerAddress::of_this_machine))
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            interval: self.interval,
            vip_rate: self.vip_rate,
            rate: self.rate,
            keepalive: self.keepalive,
            flows: self.flows,
            probes: !self.sweep,
            shape: Shape {
                timeout: self.timeout,
                host: self.host.clone(),
                path: self.uri.clone(),
                insecure: self.insecure,
                udp_payload: self.udp_payload.clone().map(String::into_bytes),
                sources: self.sources.clone(),
            },
            naming: Naming { server: self.header.clone(), balancer: self.balancer_header.clone() },
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            fail: self.max_fail,
            outage: self.max_outage,
            share: self.expect_share,
            lost_flows: self.max_lost_flows,
        }
    }

    /// Whether the test has no screen.
    pub(crate) fn is_headless(&self, is_terminal: bool) -> bool {
        self.report.is_some() || self.json || self.sweep || !is_terminal
    }
}

fn time(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time < Duration::from_millis(1) => Err("must be at least 1ms".to_owned()),
        Ok(time) => Ok(time),
        Err(_) => Err("must be a number with its unit, as 100ms or 5s".to_owned()),
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim().parse::<f64>();
    let is_part = |percent: &f64| (0.0..=100.0).contains(percent);
    number.ok().filter(is_part).map(|percent| percent / 100.0).ok_or_else(|| "must be 0% to 100%".to_owned())
}

fn path(text: &str) -> Result<String, String> {
    let is_path = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_path { Ok(text.to_owned()) } else { Err("must begin with / and be printable ASCII".to_owned()) }
}

fn header_value(text: &str) -> Result<String, String> {
    let is_host = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_host { Ok(text.to_owned()) } else { Err("must be a host name or address".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(words: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(["maglevt"].iter().chain(words))
    }

    #[test]
    fn command_is_consistent_and_has_its_defaults() {
        Arguments::command().debug_assert();
        let arguments = parse(&[]).unwrap();
        let options = arguments.options();
        assert_eq!(options.interval, Duration::from_millis(100));
        assert_eq!(options.shape.timeout, Duration::from_secs(2));
        assert!(!options.keepalive && options.probes && options.flows == 0);
        assert!(arguments.brain().is_some(), "the brain of this machine");
        assert_eq!(parse(&["192.0.2.1:80"]).unwrap().brain(), None);
        assert_eq!(arguments.limits(), Limits::default());
    }

    #[test]
    fn guide_has_every_option() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tester.md");
        let guide = std::fs::read_to_string(path).unwrap();
        let command = Arguments::command();
        let options =
            command.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(|arg| arg.get_long());
        // Those of a server are in maglevc's guide.
        for option in options.filter(|option| !option.starts_with("tls-")) {
            assert!(guide.contains(&format!("--{option}")), "--{option}");
        }
    }

    #[test]
    fn limits_are_read() {
        let words =
            ["--max-fail", "3", "--max-outage", "500ms", "--expect-share", "1%", "--max-lost-flows", "0"];
        let limits = parse(&words).unwrap().limits();
        let expected = Limits {
            fail: Some(3),
            outage: Some(Duration::from_millis(500)),
            share: Some(0.01),
            lost_flows: Some(0),
        };
        assert_eq!(limits, expected);
    }

    #[test]
    fn what_is_wrong_is_explained() {
        for (words, expected) in [
            (["--interval", "0s"], "at least 1ms"),
            (["--interval", "fast"], "a number with its unit"),
            (["--rate", "0"], "0 is not in"),
            (["--expect-share", "101%"], "0% to 100%"),
            (["--uri", "health"], "must begin with /"),
            (["--host", "a\r\nb"], "host name"),
            (["--filter", "["], "unclosed character class"),
            (["--source", "eth0"], "invalid IP address"),
            (["--flows", "99999"], "not in"),
        ] {
            let error = parse(&words).unwrap_err().to_string();
            assert!(error.contains(expected), "{words:?}: {error}");
        }
    }
}
