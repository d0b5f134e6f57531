//! Known faults of VPP's lb plugin, by release; read in its history.

use crate::config::{Config, Service};

/// A fault that affects a configuration.
#[derive(Debug, Clone, Copy)]
pub struct VppFault {
    /// What goes wrong.
    pub what: &'static str,
    /// What helps.
    pub remedy: &'static str,
    /// The first release without it: year and month.
    fixed_in: (u32, u32),
    affects: fn(&Config) -> bool,
}

const ALL: [VppFault; 3] = [
    VppFault {
        what: "`src-ip-sticky` is evaluated wrongly for VIPs with a port: flows of one client may go to several backends",
        remedy: "upgrade VPP to 24.02 or newer, or use `src-ip-sticky` only without `port`",
        fixed_in: (24, 2),
        affects: |config| {
            let mut frontends = config.frontends.values();
            frontends.any(|frontend| frontend.src_ip_sticky && frontend.service != Service::AllPorts)
        },
    },
    VppFault {
        what: "the lookup of VIPs with a port fails at times: their packets are dropped",
        remedy: "upgrade VPP to 24.06 or newer, or use frontends without `port`",
        fixed_in: (24, 6),
        affects: |config| config.frontends.values().any(|frontend| frontend.service != Service::AllPorts),
    },
    VppFault {
        what: "a VIP's memory is used after it was freed: VPP may crash after a VIP was removed",
        remedy: "upgrade VPP to 24.10 or newer; until then, remove and re-create VIPs only when an interruption is acceptable",
        fixed_in: (24, 10),
        affects: |config| !config.frontends.is_empty(),
    },
];

/// The known faults of a version of VPP, such as `24.02-release`, that affect a configuration. None if the version is
/// not understood.
pub fn of(version: &str, config: &Config) -> impl Iterator<Item = VppFault> {
    let release = release(version);
    ALL.into_iter().filter(move |fault| {
        release.is_some_and(|release| release < fault.fixed_in) && (fault.affects)(config)
    })
}

fn release(version: &str) -> Option<(u32, u32)> {
    let (year, rest) = version.trim_start_matches('v').split_once('.')?;
    let month = rest.split(|char: char| !char.is_ascii_digit()).next()?;
    Some((year.parse().ok()?, month.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn config(more: &str) -> Config {
        let text = format!(
            "maglev:\n  vpp: {{ lb: {{ ipv4-src-address: 192.0.2.1 }} }}\n  backends: {{ a: {{ address: 10.0.0.1 }} }}\n  \
             frontends:\n    www:\n      address: 192.0.2.80\n{more}      pools: [ {{ name: p, backends: {{ a: {{}} }} }} ]\n"
        );
        parse("c.yaml", &text).unwrap().config
    }

    #[test]
    fn faults_follow_from_release_and_configuration() {
        let (plain, port) = (config(""), config("      protocol: tcp\n      port: 80\n"));
        let sticky = config("      protocol: tcp\n      port: 80\n      src-ip-sticky: true\n");
        let count = |version, config| of(version, config).count();
        for (version, of_plain, of_port, of_sticky) in [
            ("23.06-release", 1, 2, 3),
            ("v23.10-rc0~12-gabc", 1, 2, 3),
            ("24.02-release", 1, 2, 2),
            ("24.06.1", 1, 1, 1),
            ("24.10-release", 0, 0, 0),
            ("26.06", 0, 0, 0),
            ("unknown", 0, 0, 0),
        ] {
            assert_eq!(count(version, &plain), of_plain, "{version}");
            assert_eq!(count(version, &port), of_port, "{version}");
            assert_eq!(count(version, &sticky), of_sticky, "{version}");
        }
    }
}
