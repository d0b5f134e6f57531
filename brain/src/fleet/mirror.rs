//! The part of the last good copy that a restart goes on with while etcd is away: a file in the state directory, with a
//! checksum. The configuration in use is not in it: it is kept with the applied configurations.
//!
//! ```text
//! maglev-fleet 1 5f3a0b1c {"fleet":"edge","revision":17,"entries":[{"key":"rollout","value":"{...}","changed":12},...]}
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use maglev_daemon::blocking::Blocking;
use maglev_daemon::retry::backoff;
use maglev_engine::fleet::intents::{Mark, Memory};
use maglev_engine::fleet::records::{Key, Name};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{error, info};

use super::store::{Entry, StoreRevision};
use super::view::View;
use crate::state::StateError;
use crate::state::mirrors::Mirrors;

/// First word of the file.
const MAGIC: &str = "maglev-fleet";
/// Version of the format.
const VERSION: &str = "1";
/// Time limit for writing the file.
const WRITTEN_WITHIN: Duration = Duration::from_secs(5);
/// Changes within this time are written together.
const COALESCED: Duration = Duration::from_millis(100);

/// The contents of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Contents {
    fleet: String,
    revision: StoreRevision,
    entries: Vec<Line>,
    /// What this member has done about intents.
    #[serde(default)]
    intents: Vec<Remembered>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    key: Arc<str>,
    value: String,
    changed: StoreRevision,
}

/// What this member has done about an intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    /// Its key in the store.
    key: String,
    applied: Option<Mark>,
    /// The revision of the store that was known when an operator set something else only here.
    local: Option<u64>,
}

/// Whether a restart needs this key while etcd is away.
pub(super) fn is_kept(key: &str) -> bool {
    key == "rollout" || key.starts_with("intents/") || key.starts_with("lengths/")
}

fn contents(fleet: &Name, view: &View, memory: &Memory) -> Contents {
    let kept = view.entries.iter().filter(|(key, _)| is_kept(key));
    let lines = kept.filter_map(|(key, entry)| {
        let value = std::str::from_utf8(&entry.value).ok()?.to_owned();
        Some(Line { key: Arc::clone(key), value, changed: entry.changed })
    });
    let keys: BTreeSet<_> = memory.applied.keys().chain(memory.local.keys()).collect();
    let intents = keys.into_iter().map(|key| Remembered {
        key: Key::Intent(key.clone()).path(fleet),
        applied: memory.applied.get(key).copied(),
        local: memory.local.get(key).copied(),
    });
    Contents {
        fleet: fleet.to_string(),
        revision: view.revision,
        entries: lines.collect(),
        intents: intents.collect(),
    }
}

fn render(contents: &Contents) -> Result<Vec<u8>, serde_json::Error> {
    let text = serde_json::to_string(contents)?;
    Ok(format!("{MAGIC} {VERSION} {:08x} {text}\n", crc32fast::hash(text.as_bytes())).into_bytes())
}

/// Parses any bytes; says what is wrong.
fn parse(bytes: &[u8]) -> Result<Contents, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
    let rest =
        text.strip_prefix(MAGIC).and_then(|rest| rest.strip_prefix(' ')).ok_or("it is of another kind")?;
    let (version, rest) = rest.split_once(' ').ok_or("it is cut off")?;
    if version != VERSION {
        return Err(format!("it has format {version}; this program reads format {VERSION}"));
    }
    let (sum, text) = rest.split_once(' ').ok_or("it is cut off")?;
    let text = text.strip_suffix('\n').ok_or("it is cut off")?;
    if sum != format!("{:08x}", crc32fast::hash(text.as_bytes())) {
        return Err("its checksum is wrong".to_owned());
    }
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// Loads the copy of this fleet. A damaged file is set aside. Blocks.
///
/// # Errors
/// Why nothing can be loaded; the copy is empty then.
pub(super) fn load(files: &Mirrors, fleet: &Name) -> Result<(View, Memory), String> {
    let read = files.read().map_err(|error| error.to_string())?;
    let Some(bytes) = read else { return Ok((View::new([], 0), Memory::default())) };
    let contents = parse(&bytes).map_err(|why| match files.set_aside(&bytes) {
        Ok(path) => format!("the copy of the fleet is damaged ({why}); kept as {}", path.display()),
        Err(error) => format!("the copy of the fleet is damaged ({why}), and cannot be set aside: {error}"),
    })?;
    if contents.fleet != fleet.as_str() {
        return Err(format!("the copy is of fleet {:?}, and not used for fleet {fleet}", contents.fleet));
    }
    let mut memory = Memory::default();
    for Remembered { key, applied, local } in contents.intents {
        let Some(Key::Intent(key)) = Key::parse(fleet, key.as_bytes()) else { continue };
        memory.applied.extend(applied.map(|mark| (key.clone(), mark)));
        memory.local.extend(local.map(|revision| (key, revision)));
    }
    let entries = contents.entries.into_iter().map(|Line { key, value, changed }| Entry {
        key,
        value: value.into_bytes().into(),
        changed,
    });
    Ok((View::new(entries, contents.revision), memory))
}

/// Writes the copy after each change, forever; `unsaved` says why it cannot be written. May be aborted at any point: the
/// file is replaced at once.
pub(super) async fn keep(
    files: Mirrors,
    fleet: Name,
    mut view: watch::Receiver<Arc<View>>,
    mut memory: watch::Receiver<Memory>,
    unsaved: watch::Sender<Option<String>>,
) {
    let writing = Blocking::new("writing the copy of the fleet", 1, WRITTEN_WITHIN);
    let mut written: Option<(Vec<Line>, Vec<Remembered>)> = None;
    let mut failures = 0;
    loop {
        let current = contents(&fleet, &view.borrow_and_update(), &memory.borrow_and_update());
        let what = (current.entries.clone(), current.intents.clone());
        if written.as_ref() != Some(&what) {
            let files = files.clone();
            let write = move || -> Result<(), String> {
                let bytes = render(&current).map_err(|error| error.to_string())?;
                files.save(&bytes).map_err(|error: StateError| error.to_string())
            };
            match writing.run(write).await.map_err(|error| error.to_string()).and_then(|done| done) {
                Ok(()) => {
                    if failures > 0 {
                        info!("the copy of the fleet is written again");
                    }
                    (written, failures) = (Some(what), 0);
                    unsaved.send_if_modified(|unsaved| unsaved.take().is_some());
                }
                Err(error) => {
                    if failures == 0 {
                        error!(%error, "the copy of the fleet cannot be written");
                    }
                    failures += 1;
                    unsaved.send_replace(Some(error));
                    sleep(backoff(failures)).await;
                    continue;
                }
            }
        }
        tokio::select! {
            changed = view.changed() => if changed.is_err() { return },
            changed = memory.changed() => if changed.is_err() { return },
        }
        sleep(COALESCED).await;
    }
}

#[cfg(test)]
mod tests {
    use maglev_engine::fleet::records::{Aim, IntentKey};
    use maglev_engine::overrides::BackendOverride;

    use super::*;

    fn entry(key: &str, value: &str) -> Entry {
        Entry { key: key.into(), value: value.as_bytes().into(), changed: 7 }
    }

    #[test]
    fn copy_survives_and_damage_is_set_aside() {
        let directory = tempfile::tempdir().unwrap();
        let (files, edge) = (Mirrors::new(directory.path().to_owned()), Name::new("edge").unwrap());
        assert!(load(&files, &edge).unwrap().0.entries.is_empty(), "no file is no damage");
        let view =
            View::new([entry("rollout", "{}"), entry("intents/backend/a", "{}"), entry("votes", "")], 9);
        let mut memory = Memory::default();
        let aim = Aim::Backend(BackendOverride::Paused);
        memory.applied.insert(IntentKey::Backend("web1".to_owned()), Mark { revision: 7, aim, since_ms: 5 });
        memory.local.insert(IntentKey::Backend("web2".to_owned()), 8);
        let bytes = render(&contents(&edge, &view, &memory)).unwrap();
        files.save(&bytes).unwrap();
        let (loaded, remembered) = load(&files, &edge).unwrap();
        assert_eq!((loaded.revision, remembered), (9, memory));
        assert_eq!(
            loaded.entries.keys().map(|key| &**key).collect::<Vec<_>>(),
            ["intents/backend/a", "rollout"]
        );
        assert!(load(&files, &Name::new("core").unwrap()).unwrap_err().contains("of fleet \"edge\""));
        for end in [0, 5, 20, bytes.len() - 1] {
            files.save(&bytes[..end]).unwrap();
            let why = load(&files, &edge).unwrap_err();
            assert!(why.contains("fleet.damaged"), "{why}");
        }
        let mut other = bytes.clone();
        *other.iter_mut().rev().nth(5).unwrap() ^= 1;
        assert!(parse(&other).unwrap_err().contains("checksum"));
        assert!(parse(&bytes[..bytes.len() - 1]).unwrap_err().contains("cut off"));
    }
}
