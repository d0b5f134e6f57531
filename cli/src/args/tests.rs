use clap::CommandFactory;
use clap::error::ErrorKind;

use std::time::Duration;

use super::*;
use crate::args::any_order::AnyOrder;
use crate::args::remark::Remark;
use crate::style::Color;
use maglev_proto::client::{ServerAddress, TlsFiles};

#[derive(Debug)]
struct Parsed {
    options: Options,
    command: Command,
}

fn parse(line: &str) -> Result<Parsed, clap::Error> {
    let Cli { options, command } = Cli::try_parse_from(line.split_whitespace())?;
    match command {
        Some(Entry::Ask(command)) => Ok(Parsed { options, command }),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn tree_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_is_understood() {
    for (line, expected) in [
        ("maglevc show frontends", "Show(Frontends { name: None })"),
        ("maglevc show frontends shop", "Show(Frontends { name: Some(\"shop\") })"),
        ("maglevc show backends", "Show(Backends { name: None, label: None })"),
        (
            "maglevc show backends label rack=r1",
            "Show(Backends { name: Some(\"label\"), label: Some(\"rack=r1\") })",
        ),
        (
            "maglevc drain ho 10.0.0.7",
            "Drain(Host { address: \"10.0.0.7\", drain: AnyOrder(Drain { wait: None, floor: 0, remark: Remark { reason: None, end: None, flush: false } }) })",
        ),
        ("maglevc show backends web1", "Show(Backends { name: Some(\"web1\"), label: None })"),
        ("maglevc show status", "Show(Status { check: false })"),
        ("maglevc show overrides", "Show(Overrides)"),
        (
            "maglevc show hi backend web1",
            "Show(History { of: AnyOrder(HistoryOf { backend: Some(\"web1\"), frontend: None, since: None, num: None }) })",
        ),
        ("maglevc show version", "Show(Version)"),
        ("maglevc show agent", "Show(Agent)"),
        ("maglevc show healthchecks", "Show(Healthchecks { name: None })"),
        ("maglevc show healthchecks ping", "Show(Healthchecks { name: Some(\"ping\") })"),
        ("maglevc show vpp lb counters", "Show(Vpp(Lb(Counters { frontend: None })))"),
        ("maglevc show vpp lb counters shop", "Show(Vpp(Lb(Counters { frontend: Some(\"shop\") })))"),
        ("maglevc sync vpp lb state", "Sync(Vpp(Lb(State { frontend: None })))"),
        ("maglevc sync vpp lb state shop", "Sync(Vpp(Lb(State { frontend: Some(\"shop\") })))"),
        ("maglevc show vpp info", "Show(Vpp(Info))"),
        ("maglevc show vpp lb state", "Show(Vpp(Lb(State)))"),
        (
            "maglevc set backend web1 pause",
            "Set(Backend { name: \"web1\", action: Pause, remark: AnyOrder(Remark { reason: None, end: None, flush: false }) })",
        ),
        (
            "maglevc set backend web1 resume",
            "Set(Backend { name: \"web1\", action: Resume, remark: AnyOrder(Remark { reason: None, end: None, flush: false }) })",
        ),
        (
            "maglevc set backend web1 enable",
            "Set(Backend { name: \"web1\", action: Enable, remark: AnyOrder(Remark { reason: None, end: None, flush: false }) })",
        ),
        (
            "maglevc set backend web1 disable",
            "Set(Backend { name: \"web1\", action: Disable, remark: AnyOrder(Remark { reason: None, end: None, flush: false }) })",
        ),
        ("maglevc top", "Top(Top { view: None, batch: false, num: None, interval: 2s })"),
        (
            "maglevc to b -b -n 3 -i 500ms",
            "Top(Top { view: Some(Backends), batch: true, num: Some(3), interval: 500ms })",
        ),
        (
            "maglevc check backend web1 via tunnel frontend www",
            "Check(Backend { name: \"web1\", way: AnyOrder(CheckWay { via_tunnel: true, frontend: Some(\"www\") }) })",
        ),
        ("maglevc config check", "Config(Check)"),
        ("maglevc config reload", "Config(Reload { confirm: None, within: None })"),
        ("maglevc config reload confirm 5m", "Config(Reload { confirm: Some(Keyword), within: Some(300s) })"),
        ("maglevc config rollback 6", "Config(Rollback { number: Some(6) })"),
        ("maglevc clear override backend web1", "Clear(Override(Backend { name: \"web1\" }))"),
    ] {
        assert_eq!(format!("{:?}", parse(line).unwrap().command), expected, "{line}");
    }
}

#[test]
fn prefixes_of_words_suffice() {
    for (short, long) in [
        ("maglevc sh fr", "maglevc show frontends"),
        ("maglevc sh frontend shop", "maglevc show frontends shop"),
        ("maglevc sh b", "maglevc show backends"),
        ("maglevc sh vp i", "maglevc show vpp info"),
        ("maglevc sh vp l s", "maglevc show vpp lb state"),
        ("maglevc sh vp l c shop", "maglevc show vpp lb counters shop"),
        ("maglevc sh ve", "maglevc show version"),
        ("maglevc sh he", "maglevc show healthchecks"),
        ("maglevc sh a", "maglevc show agent"),
        ("maglevc sy v l s", "maglevc sync vpp lb state"),
        ("maglevc wa e b web1 n 3 l l w", "maglevc watch events num 3 backend web1 log level warn"),
        ("maglevc sh st", "maglevc show status"),
        ("maglevc se b web1 p", "maglevc set backend web1 pause"),
        ("maglevc se f f p p b b w 1 fl", "maglevc set frontend f pool p backend b weight 1 flush"),
        ("maglevc dr b web1 w 90s fl 3", "maglevc drain backend web1 floor 3 wait 90s"),
        ("maglevc u b web1", "maglevc undrain backend web1"),
        ("maglevc ch b web1 f www v t", "maglevc check backend web1 via tunnel frontend www"),
        ("maglevc wh s b web1 d", "maglevc whatif set backend web1 disable"),
        ("maglevc sh fl 192.0.2.7:4 198.51.100.1:80 u", "maglevc show flow 192.0.2.7:4 198.51.100.1:80 udp"),
        ("maglevc se b web1 p r x fo 1h", "maglevc set backend web1 pause for 1h reason x"),
        ("maglevc cl o f f p p b b", "maglevc clear override frontend f pool p backend b"),
        ("maglevc co r", "maglevc config reload"),
        ("maglevc r f f f", "maglevc recreate frontend f force"),
    ] {
        let command = |line| format!("{:?}", parse(line).unwrap().command);
        assert_eq!(command(short), command(long), "{short}");
    }
}

#[test]
fn options_are_taken_anywhere() {
    for line in [
        "maglevc --json --server unix:/run/x.sock --timeout 250ms --color never show backends web1",
        "maglevc show --json backends --server unix:/run/x.sock web1 --timeout 250ms --color never",
    ] {
        let options = parse(line).unwrap().options;
        assert!(options.json, "{line}");
        assert_eq!(options.servers(), [ServerAddress::Unix("/run/x.sock".into())], "{line}");
        assert_eq!(options.timeout, Duration::from_millis(250), "{line}");
        assert_eq!(options.color, Color::Never, "{line}");
    }
}

#[test]
fn defaults_are_those_of_the_help() {
    let options = parse("maglevc show backends").unwrap().options;
    assert_eq!(options.timeout, Duration::from_secs(5));
    assert_eq!((options.json, options.color), (false, Color::Auto));
    assert_eq!((options.yes, options.tls), (false, TlsFiles::default()));
}

#[test]
fn several_servers_are_named_in_either_way_and_once() {
    for line in [
        "maglevc --server lb1:9090,unix:/run/x.sock,lb1:9090 show backends",
        "maglevc --server lb1:9090 --server unix:/run/x.sock show backends",
        "maglevc show backends --server lb1:9090,unix:/run/x.sock",
    ] {
        let servers = parse(line).unwrap().options.servers();
        let shown: Vec<_> = servers.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["lb1:9090", "unix:/run/x.sock"], "{line}");
    }
}

#[test]
fn wrong_lines_are_refused() {
    for (line, kind) in [
        ("maglevc shw backends", ErrorKind::InvalidSubcommand),
        ("maglevc show frontends a b", ErrorKind::UnknownArgument),
        ("maglevc s backends", ErrorKind::InvalidSubcommand),
        ("maglevc set backend web1", ErrorKind::MissingRequiredArgument),
        ("maglevc set backend web1 stop", ErrorKind::ValueValidation),
        ("maglevc set frontend shop pool primary backend web1", ErrorKind::MissingRequiredArgument),
        ("maglevc set frontend shop pool primary backend web1 weight 101", ErrorKind::ValueValidation),
        ("maglevc set frontend shop pool primary backend web1 weight 1 now", ErrorKind::ValueValidation),
        ("maglevc set frontend shop primary web1 weight 1", ErrorKind::ValueValidation),
        ("maglevc check backend web1 via vpn", ErrorKind::ValueValidation),
        ("maglevc watch events num", ErrorKind::ValueValidation),
        ("maglevc watch events web1", ErrorKind::ValueValidation),
        ("maglevc --server lb1:9090,lb2 show backends", ErrorKind::ValueValidation),
        ("maglevc sync vpp lb state a b", ErrorKind::UnknownArgument),
        ("maglevc recreate frontend shop", ErrorKind::MissingRequiredArgument),
        ("maglevc recreate frontend shop yes", ErrorKind::ValueValidation),
        ("maglevc show vpp lb", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
        ("maglevc --server ::1:9090 show backends", ErrorKind::ValueValidation),
        ("maglevc --timeout 0s show backends", ErrorKind::ValueValidation),
        ("maglevc --timeout 5 show backends", ErrorKind::ValueValidation),
        ("maglevc --color red show backends", ErrorKind::InvalidValue),
    ] {
        assert_eq!(parse(line).unwrap_err().kind(), kind, "{line}");
    }
    let error = parse("maglevc --server ::1:9090 show backends").unwrap_err().to_string();
    assert!(error.contains("in brackets before its port, as [::1]:17090"), "{error}");
}

/// Names win over the words between them, whatever they are.
#[test]
fn names_may_be_words_of_the_command() {
    let line = "maglevc set frontend pool pool backend backend weight weight 7";
    let Command::Set(Set::Frontend { member, weight, remark, .. }) = parse(line).unwrap().command else {
        panic!("{line}");
    };
    let names = [member.frontend, member.pool, member.backend];
    assert_eq!(
        (names, weight, remark),
        (["pool", "backend", "weight"].map(String::from), 7, AnyOrder(Remark::default()))
    );
}

#[test]
fn usage_names_the_words_between_names() {
    let error = parse("maglevc set frontend shop pool").unwrap_err().to_string();
    let usage = "Usage: maglevc set frontend <FRONTEND> pool <POOL> backend <BACKEND> weight <WEIGHT> [flush] \
         [reason <TEXT>] [for <TIME> | until <TIME>]";
    assert!(error.contains(usage), "{error}");
    let error = parse("maglevc set backend web1 stop").unwrap_err().to_string();
    assert!(error.contains("expected one of: pause, resume, enable, disable"), "{error}");
}

#[test]
fn help_has_examples_that_are_understood() {
    let help = Cli::command().render_help().to_string();
    assert!(help.contains("MAGLEV_SERVER"), "{help}");
    let examples = EXAMPLES.lines().filter_map(|line| line.strip_prefix("  maglevc"));
    let mut count = 0;
    for example in examples {
        let words = example.split("   ").next().unwrap().split('|').next().unwrap();
        let line = format!("maglevc{words}");
        assert!(parse(&line).is_ok(), "{line}");
        count += 1;
    }
    assert_eq!(count, 22);
}

#[test]
fn no_command_is_the_shell() {
    let cli = Cli::try_parse_from(["maglevc", "--json"]).unwrap();
    assert!(cli.command.is_none() && cli.options.json);
}

#[test]
fn scripts_and_pages_are_written_on_demand() {
    let entry = |line: &str| format!("{:?}", Cli::try_parse_from(line.split(' ')).unwrap().command.unwrap());
    assert_eq!(entry("maglevc completions fish"), "Completions { shell: Fish }");
    assert_eq!(entry("maglevc man target/man"), "Man { directory: \"target/man\" }");
}
