//! `fleet`: several load balancers with one configuration.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use maglev_proto::{FleetOrder, FleetPlan};

use crate::args::any_order::{AnyOrder, Parts};
use crate::args::words::{Keyword, keyword, only_one};

#[derive(Debug, Subcommand)]
pub(crate) enum Fleet {
    /// Show the link to etcd, the latest rollout, and what each member runs
    Status,
    /// List the members, or remove one that is away for good
    #[command(override_usage = "maglevc fleet members [remove <NAME>]")]
    Members(Removal),
    /// Compare the tables of all members in VPP, with the reasons for differences
    Tables {
        /// Only this frontend, address, or VIP such as "192.0.2.1 tcp/80"
        frontend: Option<String>,
    },
    /// The configuration of all members
    #[command(subcommand)]
    Config(FleetConfig),
}

/// A member to remove, if any.
#[derive(Debug, Args)]
pub(crate) struct Removal {
    #[arg(value_name = "remove", hide = true, value_parser = keyword("remove"))]
    pub(crate) remove: Option<Keyword>,
    /// After `remove`: the name of the member
    pub(crate) name: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FleetConfig {
    /// Put a file into the fleet as a new revision, and roll it out to all members
    ///
    /// Without a canary, members take it one after the other, each only when the one before has programmed it. With
    /// canaries, these take it first, and the others only when the canaries have run it for the time of `soak` without a
    /// problem: no backend went down, no sync failed, no difference in VPP, no route withdrawn. A problem, or a member
    /// that refuses it, stops the rollout, and every member goes back by itself.
    #[command(
        override_usage = "maglevc fleet config put <FILE> [canary <NAMES>] [soak <TIME>] [order one-by-one|halves] [reason <TEXT>]"
    )]
    Put {
        /// The configuration, YAML
        file: PathBuf,
        /// How it is rolled out, and why
        #[command(flatten)]
        plan: AnyOrder<Plan>,
    },
    /// List the revisions of the configuration, and which members run them
    List,
    /// Show each value that differs between two revisions
    Diff {
        /// Number of the older revision
        old: u64,
        /// Number of the newer revision
        new: u64,
    },
    /// Roll out an earlier revision to all members
    #[command(
        override_usage = "maglevc fleet config rollback [NUMBER] [canary <NAMES>] [soak <TIME>] [order one-by-one|halves] [reason <TEXT>]"
    )]
    Rollback {
        /// Its number in `fleet config list`, needed if more words follow; without it, the last revision before the one in use
        number: Option<u64>,
        /// How it is rolled out, and why
        #[command(flatten)]
        plan: AnyOrder<Plan>,
    },
    /// End the soak: the other members take the revision as well
    Confirm,
    /// Stop the rollout: every member goes back
    #[command(override_usage = "maglevc fleet config abort [reason <TEXT>]")]
    Abort {
        #[arg(value_name = "reason", hide = true, value_parser = keyword("reason"))]
        reason: Option<Keyword>,
        /// After `reason`: why
        text: Option<String>,
    },
}

/// The words that begin a part of a plan.
pub(crate) const OF_PLAN: &[&str] = &["canary", "soak", "order", "reason"];
/// Both orders.
const ORDERS: &[&str] = &["one-by-one", "halves"];

/// How a revision is rolled out, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    canary: Vec<String>,
    soak: Option<Duration>,
    order: Option<FleetOrder>,
    pub(crate) reason: Option<String>,
}

impl Plan {
    /// As the interface has it.
    pub(crate) fn message(&self) -> FleetPlan {
        let soak = self.soak.unwrap_or_default().as_millis();
        FleetPlan {
            canary: self.canary.clone(),
            soak_ms: u64::try_from(soak).unwrap_or(u64::MAX),
            order: self.order.unwrap_or(FleetOrder::OneByOne).into(),
        }
    }
}

impl Parts for Plan {
    fn parts() -> &'static [&'static str] {
        OF_PLAN
    }

    fn of<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<Self, String> {
        let (mut plan, mut given) = (Self::default(), Vec::new());
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let unexpected = || format!("unexpected `{word}`; expected one of: {}", OF_PLAN.join(", "));
            let part = only_one(word, OF_PLAN).ok_or_else(unexpected)?;
            if given.contains(&part) {
                return Err(format!("`{part}` is given twice"));
            }
            given.push(part);
            let value = words.next().filter(|value| !value.trim().is_empty());
            match part {
                "canary" => {
                    let names = value.ok_or("`canary` takes names of members: lb1, or lb1,lb2")?;
                    plan.canary = names.split(',').map(str::to_owned).collect();
                }
                "soak" => {
                    let time = value.and_then(|time| humantime::parse_duration(time).ok());
                    plan.soak = Some(time.ok_or("`soak` takes a time, such as 5m")?);
                }
                "order" => {
                    plan.order = Some(match value.and_then(|order| only_one(order, ORDERS)) {
                        Some("one-by-one") => FleetOrder::OneByOne,
                        Some(_) => FleetOrder::Halves,
                        None => return Err(format!("`order` takes one of: {}", ORDERS.join(", "))),
                    });
                }
                _ => {
                    let text = value.ok_or("`reason` takes a text, in quotes: reason \"NOC-123\"")?;
                    plan.reason = Some(text.to_owned());
                }
            }
        }
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plan_comes_in_any_order_and_mistakes_say_what_would_be_right() {
        let of = |words: &[&str]| Plan::of(words.iter().copied());
        let plan = of(&["so", "5m", "reason", "NOC-1", "canary", "lb1,lb2", "o", "h"]).unwrap();
        let message = plan.message();
        assert_eq!((message.soak_ms, message.order()), (300_000, FleetOrder::Halves));
        assert_eq!(
            (message.canary, plan.reason.as_deref()),
            (vec!["lb1".into(), "lb2".into()], Some("NOC-1"))
        );
        assert_eq!(of(&[]).unwrap().message().order(), FleetOrder::OneByOne);
        for (words, part) in [
            (&["canary"][..], "lb1,lb2"),
            (&["soak", "long"], "such as 5m"),
            (&["order", "random"], "one-by-one, halves"),
            (&["soak", "1m", "soak", "2m"], "twice"),
            (&["slowly"], "expected one of: canary, soak, order, reason"),
        ] {
            let error = of(words).unwrap_err();
            assert!(error.contains(part), "{words:?}: {error}");
        }
    }
}
