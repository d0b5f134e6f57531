//! The words after `check backend NAME`, in any order.

use clap::Subcommand;

use crate::args::any_order::{AnyOrder, Parts};
use crate::args::change::SHORT;
use crate::args::words::only_one;

/// The words that begin a part.
pub(crate) const OF_CHECK: &[&str] = &["via", "frontend"];

#[derive(Debug, Subcommand)]
pub(crate) enum Check {
    /// Probe a backend once, now, by each of its health checks; or each hop on the way to it through the tunnel
    ///
    /// With `via tunnel`, for each VIP that the backend serves, or with `frontend` only that of one: the server's own address, the
    /// tunnel to it, the VIP's address on it, the service on the VIP, and full packets. It ends at the hop that fails, and
    /// says what would be right. Nothing changes: no state, counter or history. Exit code 1: something failed, or could
    /// not be tested.
    #[command(
        aliases = SHORT,
        override_usage = "maglevc check backend <NAME> [via tunnel] [frontend <FRONTEND>]"
    )]
    Backend {
        /// Name of the backend
        name: String,
        /// Whether to go through the tunnel, and to which VIP
        #[command(flatten)]
        way: AnyOrder<CheckWay>,
    },
}

/// How a backend is probed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct CheckWay {
    pub(crate) via_tunnel: bool,
    pub(crate) frontend: Option<String>,
}

impl Parts for CheckWay {
    fn parts() -> &'static [&'static str] {
        OF_CHECK
    }

    fn of<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<Self, String> {
        let mut way = Self::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let part = only_one(word, OF_CHECK);
            let is_set = match part {
                Some("via") => {
                    let tunnel = words.next().and_then(|word| only_one(word, &["tunnel"]));
                    tunnel.ok_or("`via` takes the word `tunnel`")?;
                    std::mem::replace(&mut way.via_tunnel, true)
                }
                Some(_) => {
                    let name = words.next().ok_or("`frontend` takes a name")?;
                    way.frontend.replace(name.to_owned()).is_some()
                }
                None => return Err(format!("unexpected `{word}`; expected one of: {}", OF_CHECK.join(", "))),
            };
            if let (true, Some(part)) = (is_set, part) {
                return Err(format!("`{part}` is given twice"));
            }
        }
        // Health checks are the same for all frontends.
        way.via_tunnel |= way.frontend.is_some();
        Ok(way)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_in_any_order() {
        let of = |words: &[&str]| CheckWay::of(words.iter().copied());
        assert_eq!(of(&[]), Ok(CheckWay::default()));
        let way = CheckWay { via_tunnel: true, frontend: Some("www".to_owned()) };
        assert_eq!(of(&["via", "tunnel", "frontend", "www"]), Ok(way.clone()));
        assert_eq!(of(&["f", "www", "v", "t"]), Ok(way.clone()));
        assert_eq!(of(&["frontend", "www"]), Ok(way), "it makes sense only so");
        for (words, part) in [
            (&["tunnel"][..], "expected one of: via, frontend"),
            (&["via"], "takes the word `tunnel`"),
            (&["via", "vpn"], "takes the word `tunnel`"),
            (&["frontend"], "takes a name"),
            (&["via", "tunnel", "via", "tunnel"], "twice"),
        ] {
            let error = of(words).unwrap_err();
            assert!(error.contains(part), "{words:?}: {error}");
        }
    }
}
