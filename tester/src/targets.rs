//! Finding the VIPs to test.

use std::collections::BTreeSet;

use anyhow::bail;
use maglev_daemon::print;
use maglev_proto::client::ServerAddress;
use maglev_tester::brain::Brain;
use maglev_tester::target::{Request, Target, from_config};

use crate::args::Arguments;

/// The VIPs of the command line and of configurations, or else those of the brain. Says on standard error which are left
/// out.
pub(crate) async fn find(
    arguments: &Arguments,
    brain: Option<&ServerAddress>,
) -> anyhow::Result<Vec<Target>> {
    let mut targets = arguments.vips().to_vec();
    let mut left_out = Vec::new();
    for path in &arguments.configs {
        let loaded = maglev_probe::files::load(path)?;
        let (more, without) = from_config(&loaded.config);
        targets.extend(more);
        left_out.extend(without);
    }
    if arguments.vips().is_empty()
        && arguments.configs.is_empty()
        && let Some(address) = brain
    {
        let (more, without) = Brain::connect(address, &arguments.tls).await?.targets().await?;
        targets.extend(more);
        left_out.extend(without);
    }
    if let Some(filter) = &arguments.filter {
        let is_wanted =
            |target: &Target| filter.is_match(&target.name) || filter.is_match(&target.vip.to_string());
        targets.retain(is_wanted);
    }
    if arguments.udp_payload.is_none() {
        let (udp, others): (Vec<_>, _) =
            targets.into_iter().partition(|target| matches!(target.request, Request::Udp));
        targets = others;
        left_out.extend(udp.iter().map(|target| format!("{}: UDP takes --udp-payload", target.name)));
    }
    let mut known = BTreeSet::new();
    targets.retain(|target| known.insert((target.vip, target.request.word())));
    left_out.iter().for_each(|reason| print::complain(&format!("maglevt: not tested: {reason}\n")));
    if targets.is_empty() {
        bail!("there is no VIP to test");
    }
    if targets.iter().any(trusts_system) {
        let (authorities, doubts) = maglev_probe::files::of_system(std::time::SystemTime::now());
        doubts.iter().for_each(|doubt| print::complain(&format!("maglevt: {doubt}\n")));
        maglev_probe::trust_system(authorities.into());
    }
    Ok(targets)
}

fn trusts_system(target: &Target) -> bool {
    target.check(&Default::default()).is_some_and(|check| check.trusts_system())
}
