//! The words after `show history`, in any order.

use std::time::{Duration, SystemTime};

use maglev_proto::GetHistoryRequest;

use crate::args::any_order::Parts;
use crate::args::remark::{End, at};
use crate::args::words::only_one;
use crate::moment::Moment;

/// The words that begin a part.
pub(crate) const OF_HISTORY: &[&str] = &["backend", "frontend", "since", "num"];

/// Records shown, if no number is given.
const USUAL: u32 = 100;

/// What to show of the history.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct HistoryOf {
    backend: Option<String>,
    frontend: Option<String>,
    since: Option<Since>,
    num: Option<u32>,
}

/// From when on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    Ago(Duration),
    At(SystemTime),
}

impl Parts for HistoryOf {
    fn parts() -> &'static [&'static str] {
        OF_HISTORY
    }

    fn of<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<Self, String> {
        let mut history = Self::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let Some(part) = only_one(word, OF_HISTORY) else {
                return Err(format!("unexpected `{word}`; expected one of: {}", OF_HISTORY.join(", ")));
            };
            let value = words.next();
            let name = || value.map(str::to_owned).ok_or_else(|| format!("`{part}` takes a name"));
            let is_set = match part {
                "backend" => history.backend.replace(name()?).is_some(),
                "frontend" => history.frontend.replace(name()?).is_some(),
                "since" => history.since.replace(since(value.unwrap_or_default())?).is_some(),
                _ => {
                    let num = value.and_then(|num| num.parse().ok()).filter(|num| *num > 0);
                    let wrong = "`num` takes the number of records: a whole number above 0";
                    history.num.replace(num.ok_or(wrong)?).is_some()
                }
            };
            if is_set {
                return Err(format!("`{part}` is given twice"));
            }
        }
        Ok(history)
    }
}

fn since(text: &str) -> Result<Since, String> {
    let wrong = || "`since` takes a time ago, such as 1h, or a time in UTC: 2026-11-30T18:00:00Z".to_owned();
    if let Ok(ago) = humantime::parse_duration(text) {
        return Ok(Since::Ago(ago));
    }
    match at(text) {
        Ok(End::At(time)) => Ok(Since::At(time)),
        _ => Err(wrong()),
    }
}

impl HistoryOf {
    /// The request for it.
    pub(crate) fn request(&self, now: SystemTime) -> GetHistoryRequest {
        let since = self.since.map(|since| match since {
            Since::Ago(ago) => now.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH),
            Since::At(time) => time,
        });
        GetHistoryRequest {
            backend: self.backend.clone().unwrap_or_default(),
            frontend: self.frontend.clone().unwrap_or_default(),
            since_unix_ms: since.map_or(0, |since| Moment::of(since).0),
            most: self.num.unwrap_or(USUAL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_in_any_order() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(10_000);
        let of = |words: &[&str]| HistoryOf::of(words.iter().copied()).map(|history| history.request(now));
        assert_eq!(of(&[]), Ok(GetHistoryRequest { most: 100, ..GetHistoryRequest::default() }));
        let request = of(&["since", "1h", "b", "web1", "num", "5"]).unwrap();
        assert_eq!((request.backend.as_str(), request.since_unix_ms, request.most), ("web1", 6_400_000, 5));
        let request = of(&["frontend", "www", "since", "1970-01-01T01:00:00Z"]).unwrap();
        assert_eq!((request.frontend.as_str(), request.since_unix_ms), ("www", 3_600_000));
        for (words, part) in [
            (&["web1"][..], "expected one of: backend, frontend, since, num"),
            (&["backend"], "takes a name"),
            (&["backend", "a", "backend", "b"], "twice"),
            (&["since", "18:00"], "such as 1h"),
            (&["since"], "such as 1h"),
            (&["num", "0"], "above 0"),
        ] {
            let error = of(words).unwrap_err();
            assert!(error.contains(part), "{words:?}: {error}");
        }
    }
}
