//! The words after `drain backend NAME`: `wait [TIME]` and `floor N`, beside those of any change of a backend.

use std::time::Duration;

use crate::args::any_order::Parts;
use crate::args::remark::Remark;
use crate::args::words::only_one;

/// The words that begin a part.
pub(crate) const OF_DRAIN: &[&str] = &["wait", "floor", "reason", "for", "until"];

/// How long to wait if no time is given.
const WAIT: Duration = Duration::from_secs(10 * 60);

/// What follows the name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Drain {
    /// How long to wait for the flows to end; `None`: not at all.
    pub(crate) wait: Option<Duration>,
    /// Flows that may be left.
    pub(crate) floor: u64,
    pub(crate) remark: Remark<false>,
}

impl Parts for Drain {
    fn parts() -> &'static [&'static str] {
        OF_DRAIN
    }

    fn of<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<Self, String> {
        let (mut drain, mut floor, mut others) = (Self::default(), None, Vec::new());
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next() {
            match only_one(word, OF_DRAIN) {
                Some("wait") if drain.wait.is_some() => return Err("`wait` is given twice".to_owned()),
                Some("wait") => {
                    let begins_with_digit =
                        |word: &&str| word.starts_with(|first: char| first.is_ascii_digit());
                    let time = words.next_if(begins_with_digit).map(humantime::parse_duration);
                    let wrong = |_| "`wait` takes a time, such as 90s or 10m".to_owned();
                    drain.wait = Some(time.transpose().map_err(wrong)?.unwrap_or(WAIT));
                }
                Some("floor") if floor.is_some() => return Err("`floor` is given twice".to_owned()),
                Some("floor") => {
                    let number = words.next().and_then(|word| word.parse().ok());
                    floor = Some(number.ok_or("`floor` takes the number of flows that may be left")?);
                }
                Some(_) => {
                    others.push(word);
                    others.extend(words.next());
                }
                None => return Err(format!("unexpected `{word}`; expected one of: {}", OF_DRAIN.join(", "))),
            }
        }
        if floor.is_some() && drain.wait.is_none() {
            return Err("`floor` says when `wait` is over, which is missing".to_owned());
        }
        Ok(Self { floor: floor.unwrap_or_default(), remark: Remark::of(others)?, ..drain })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_in_any_order() {
        let of = |words: &[&str]| Drain::of(words.iter().copied());
        assert_eq!(of(&[]), Ok(Drain::default()));
        assert_eq!(of(&["wait"]).unwrap().wait, Some(WAIT));
        let drain = of(&["reason", "RAM swap", "w", "90s", "floor", "3"]).unwrap();
        assert_eq!((drain.wait, drain.floor), (Some(Duration::from_secs(90)), 3));
        assert_eq!(drain.remark.reason.as_deref(), Some("RAM swap"));
        for (words, part) in [
            (&["wait", "10x"][..], "such as 90s"),
            (&["wait", "wait"], "twice"),
            (&["floor", "3"], "`wait` is over, which is missing"),
            (&["wait", "floor"], "number of flows"),
            (&["flush"], "expected one of: wait, floor, reason, for, until"),
        ] {
            let error = of(words).unwrap_err();
            assert!(error.contains(part), "{words:?}: {error}");
        }
    }
}
