//! The words after `drain lb`: how its routes are drained, beside those of the drain of a backend.

use maglev_proto::LbDrainKind;

use crate::args::any_order::Parts;
use crate::args::drain::Drain;
use crate::args::words::only_one;

/// The words that begin a part.
pub(crate) const OF_DRAIN_LB: &[&str] = &["wait", "withdraw", "gshut", "floor", "reason", "for", "until"];

/// Packets a second that may be left unless `floor` says otherwise: neighbours and scanners never cease.
const FLOOR: u64 = 10;

/// Arguments of draining a load balancer: the kind, and the wait for its traffic to cease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DrainLb {
    pub(crate) kind: LbDrainKind,
    /// Its floor is in packets a second.
    pub(crate) drain: Drain,
}

impl Parts for DrainLb {
    fn parts() -> &'static [&'static str] {
        OF_DRAIN_LB
    }

    fn of<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<Self, String> {
        let (mut kind, mut others, mut has_floor) = (None, Vec::new(), false);
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let part = only_one(word, OF_DRAIN_LB);
            let found = match part {
                Some("withdraw") => LbDrainKind::Withdraw,
                Some("gshut") => LbDrainKind::Gshut,
                Some(part) => {
                    others.push(part);
                    if part != "wait" {
                        others.extend(words.next());
                    }
                    has_floor |= part == "floor";
                    continue;
                }
                None if others.last() == Some(&"wait") => {
                    others.push(word);
                    continue;
                }
                None => {
                    return Err(format!("unexpected `{word}`; expected one of: {}", OF_DRAIN_LB.join(", ")));
                }
            };
            if kind.replace(found).is_some() {
                return Err("either `withdraw` or `gshut`, once".to_owned());
            }
        }
        let drain = Drain::of(others)?;
        let floor = if has_floor { drain.floor } else { FLOOR };
        Ok(Self { kind: kind.unwrap_or(LbDrainKind::Withdraw), drain: Drain { floor, ..drain } })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn words_come_in_any_order() {
        let of = |words: &[&str]| DrainLb::of(words.iter().copied());
        let plain = of(&[]).unwrap();
        assert_eq!((plain.kind, plain.drain.wait, plain.drain.floor), (LbDrainKind::Withdraw, None, FLOOR));
        let drain = of(&["gs", "wait", "5m", "floor", "0", "reason", "withdraw"]).unwrap();
        assert_eq!((drain.kind, drain.drain.floor), (LbDrainKind::Gshut, 0));
        assert_eq!(drain.drain.wait, Some(Duration::from_secs(300)));
        assert_eq!(drain.drain.remark.reason.as_deref(), Some("withdraw"));
        assert_eq!(of(&["wait", "withdraw"]).unwrap().drain.wait, Some(Duration::from_secs(600)));
        for (words, part) in [
            (&["gshut", "withdraw"][..], "once"),
            (&["quickly"], "expected one of: wait, withdraw, gshut"),
            (&["wait", "10x"], "such as 90s"),
            (&["floor", "3"], "`wait` is over, which is missing"),
        ] {
            let error = of(words).unwrap_err();
            assert!(error.contains(part), "{words:?}: {error}");
        }
    }
}
