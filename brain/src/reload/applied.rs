//! The configuration in use, and the earlier ones in the state directory.
//!
//! A revision is written before it is applied, so that a brain that is killed in between starts with what was decided. If it
//! cannot be written, the change is made nevertheless, told as not persisted, and writing is retried; only a reload that must
//! be confirmed is refused, since a restart would keep it for good.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use maglev_engine::config::{LoadError, Loaded};
use maglev_engine::core::{Command, Notice, Reload};
use maglev_engine::history::Kind;
use maglev_engine::overrides::Remark;
use maglev_engine::revisions::{Origin, Revision, Revisions, Start, Sum};
use maglev_probe::files;
use tracing::{info, warn};

use super::{ReloadError, Reloaded, Reloader, trust_system, validate};
use crate::controller::Terms;
use crate::open_files;
use crate::state::copies::Copies;

/// The configuration in use, and the directory of earlier ones.
#[derive(Debug, Default)]
pub struct Applied {
    /// The last one is in use.
    pub(super) revisions: Revisions,
    /// The text in use.
    pub(super) text: Arc<[u8]>,
    /// Without a directory, nothing is persisted.
    pub(super) copies: Option<Copies>,
    /// Reason for the state directory not having the revision in use, if it has not.
    pub(super) unsaved: Option<String>,
    /// Remarks on an unusual start, for the log, which begins later.
    remarks: Vec<String>,
}

/// The configuration in use, for readers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The revision in use.
    pub current: Option<Revision>,
    /// Reason for a restart not starting with it, if it would not.
    pub unsaved: Option<String>,
    /// Reason for its staying in use though nobody has confirmed it in time.
    pub stuck: Option<String>,
}

/// The configuration that a process starts with.
#[derive(Debug)]
pub struct Started {
    /// Its contents.
    pub loaded: Loaded,
    /// Its record.
    pub applied: Applied,
}

/// Chooses the configuration to start with: that of the file, unless the file was given up, or a confirmation is missing; for
/// a member of a fleet, the one that it took last from the fleet. Blocks on the disk.
///
/// # Errors
/// If it is that of the file, and the file is refused.
pub fn start(path: &Path, copies: Copies, in_fleet: bool, now: SystemTime) -> Result<Started, LoadError> {
    let mut remarks = Vec::new();
    let revisions = copies.load().unwrap_or_else(|error| {
        remarks.push(format!("earlier configurations are not known: {error}"));
        Revisions::default()
    });
    let file = files::read(path);
    let sum = file.as_deref().ok().map(Sum::of);
    let mut applied = Applied { revisions, copies: Some(copies), remarks, ..Applied::default() };
    let of_fleet = applied.revisions.start_in_fleet().filter(|_| in_fleet);
    if let Start::Kept { texts, goes_back } = of_fleet.unwrap_or_else(|| applied.revisions.start(sum, now))
        && let Some(current) = applied.revisions.current().cloned()
    {
        for number in texts {
            let Some(text) = applied.copies.as_ref().and_then(|copies| copies.text(number)) else { continue };
            let loaded = match validate(&name(number), &text) {
                Ok(loaded) => loaded,
                Err(error) => {
                    applied.remarks.push(format!("configuration {number} cannot be used any more: {error}"));
                    continue;
                }
            };
            let sum = Sum::of(&text);
            applied.text = text.into();
            if goes_back || sum != current.text {
                let origin = Origin::NotConfirmed(number);
                applied.record(applied.revisions.next(origin, (sum, current.file), None, None, now));
            } else if let Some(anchored) = applied.revisions.anchored(now) {
                applied.record(anchored);
            }
            let Some(Revision { number, origin, .. }) = applied.revisions.current() else { continue };
            applied
                .remarks
                .push(format!("started with configuration {number} ({origin}), not with that of the file"));
            return Ok(Started { loaded, applied });
        }
        applied.remarks.push("no kept configuration can be used, so the file is".to_owned());
    }
    let text = file?;
    let loaded = validate(&path.display().to_string(), &text)?;
    let sum = Sum::of(&text);
    applied.text = text.into();
    if !applied.revisions.is_recorded(sum) {
        applied.record(applied.revisions.next(Origin::Start, (sum, Some(sum)), None, None, now));
    }
    Ok(Started { loaded, applied })
}

/// Name of a kept configuration in diagnostics.
fn name(number: u64) -> String {
    format!("configuration {number}")
}

impl Applied {
    /// Logs what was unusual about the start.
    pub fn log(&self) {
        self.remarks.iter().for_each(|remark| warn!("{remark}"));
    }

    /// Writes a revision whose text is in use already. Blocks.
    fn record(&mut self, revision: Revision) {
        self.unsaved = save(self.copies.as_ref(), &revision, &self.text).err();
        self.revisions.put(revision);
        let excess = self.revisions.trim();
        if let Some(Err(error)) = self.copies.as_ref().map(|copies| copies.remove(&excess)) {
            self.remarks.push(format!("an old configuration cannot be removed: {error}"));
        }
        if let Some(error) = &self.unsaved {
            self.remarks.push(format!("the configuration in use cannot be persisted: {error}"));
        }
    }
}

fn save(copies: Option<&Copies>, revision: &Revision, text: &[u8]) -> Result<(), String> {
    let copies = copies.ok_or("there is no state directory")?;
    copies.save(revision, text).map_err(|error| error.to_string())
}

/// A configuration to apply.
pub(super) struct Next {
    pub(super) text: Arc<[u8]>,
    pub(super) loaded: Loaded,
    /// Its record; `None` if it has one already.
    pub(super) revision: Option<Revision>,
    pub(super) must_persist: bool,
}

impl Reloader {
    /// The configuration in use.
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// The revisions that are kept, oldest first.
    pub async fn revisions(&self) -> Revisions {
        self.applied.lock().await.revisions.clone()
    }

    /// The text in use; empty if it is not known.
    pub async fn text(&self) -> Arc<[u8]> {
        Arc::clone(&self.applied.lock().await.text)
    }

    pub(super) fn publish(&self, applied: &Applied, stuck: Option<String>) {
        let current = applied.revisions.current().cloned();
        let pending = current.as_ref().and_then(|current| current.pending);
        let other = current.as_ref().is_some_and(Revision::is_other_than_file);
        self.operator.tally().set_applied_config(other, pending.map_or(0, |pending| pending.until_ms));
        let standing = Standing { current, unsaved: applied.unsaved.clone(), stuck };
        self.standing.send_if_modified(|before| std::mem::replace(before, standing.clone()) != standing);
    }

    pub(super) async fn save(
        &self,
        applied: &Applied,
        revision: &Revision,
        text: &Arc<[u8]>,
    ) -> Result<(), String> {
        let (copies, revision, text) = (applied.copies.clone(), revision.clone(), Arc::clone(text));
        let saved = self.writing.run(move || save(copies.as_ref(), &revision, &text)).await;
        saved.map_err(|error| error.to_string())?
    }

    async fn remove(&self, applied: &Applied, numbers: Vec<u64>) {
        let Some(copies) = applied.copies.clone().filter(|_| !numbers.is_empty()) else { return };
        let removed = self.writing.run(move || copies.remove(&numbers)).await;
        if let Err(error) =
            removed.map_err(|error| error.to_string()).and_then(|ok| ok.map_err(|e| e.to_string()))
        {
            warn!(%error, "an old configuration cannot be removed");
        }
    }

    /// Puts a configuration on record, then into use.
    pub(super) async fn apply(
        &self,
        applied: &mut Applied,
        next: Next,
        terms: Terms,
    ) -> Result<Reloaded, ReloadError> {
        let Next { text, loaded, revision, must_persist } = next;
        // Before anything is put on record: it may fail. Kept until the end, as dropping the last copy of a large
        // configuration would hold up the controller.
        let replaced = Arc::clone(self.operator.state().await?.config());
        let Loaded { config, warnings, system, .. } = loaded;
        let reload = {
            let replaced = Arc::clone(&replaced);
            self.reading.run(move || Reload::prepared(config, &replaced)).await?
        };
        let unsaved = match &revision {
            Some(revision) => self.save(applied, revision, &text).await.err(),
            None => applied.unsaved.clone(),
        };
        if let Some(error) = unsaved.clone().filter(|_| must_persist) {
            self.remove(applied, revision.iter().map(|revision| revision.number).collect()).await;
            return Err(ReloadError::NotPersisted(error));
        }
        // Without a state directory, nothing is to be persisted.
        let unsaved = unsaved.filter(|_| applied.copies.is_some());
        trust_system(system);
        for warning in &warnings {
            warn!("{}", warning.summary());
        }
        let config = Arc::clone(reload.config());
        open_files::raise_limit(config.backends.len());
        let done = match self.operator.command(terms.clone(), Command::Reload(reload)).await {
            Ok(done) => done,
            Err(refused) => {
                self.remove(applied, revision.iter().map(|revision| revision.number).collect()).await;
                return Err(refused.into());
            }
        };
        self.operator.history().webhooks().apply(&config.webhooks);
        (applied.text, applied.unsaved) = (text, unsaved.clone());
        if let Some(revision) = &revision {
            applied.revisions.put(revision.clone());
            let excess = applied.revisions.trim();
            self.remove(applied, excess).await;
            self.tell(revision, &terms).await;
        }
        self.publish(applied, None);
        let revision = applied.revisions.current().cloned();
        Ok(Reloaded { done, warnings, revision, not_kept: unsaved })
    }

    /// Tells watchers what is unusual about a revision that has come into use.
    async fn tell(&self, revision: &Revision, terms: &Terms) {
        let Revision { number, origin, pending, .. } = revision;
        let what = match (origin, pending) {
            (Origin::Reload | Origin::Start, None) => return,
            (Origin::Fleet(of), _) => format!("configuration {number} is revision {of} of the fleet"),
            (Origin::Reload | Origin::Start, Some(pending)) => {
                let left = humantime::format_duration(whole_seconds(pending.left(SystemTime::now())));
                format!(
                    "configuration {number} goes back to {} in {left} unless it is confirmed",
                    pending.back_to
                )
            }
            (Origin::Rollback(to), _) => {
                format!("configuration {number} has the text of {to}; the file is not in use")
            }
            (Origin::NotConfirmed(to), _) => {
                format!(
                    "nobody has confirmed in time: configuration {number} has the text of {to}; the file is not in use"
                )
            }
        };
        self.announce(what, terms.clone()).await;
    }

    /// Has an event and a line of the log made.
    pub(super) async fn announce(&self, what: String, terms: Terms) {
        let notice = Notice { kind: Kind::Reload, what, is_problem: false };
        self.operator.announce(notice, terms.remark).await;
    }

    /// Keeps a configuration that would go back by itself.
    ///
    /// # Errors
    /// If none would.
    pub async fn confirm(&self, terms: Terms) -> Result<Standing, ReloadError> {
        let mut applied = self.applied.lock().await;
        let confirmed = applied.revisions.confirmed()?;
        let text = Arc::clone(&applied.text);
        applied.unsaved = self.save(&applied, &confirmed, &text).await.err();
        let number = confirmed.number;
        applied.revisions.put(confirmed);
        let excess = applied.revisions.trim();
        self.remove(&applied, excess).await;
        self.publish(&applied, None);
        self.announce(format!("configuration {number} is confirmed"), terms).await;
        Ok(self.standing())
    }

    /// Goes back to an earlier configuration: this one, or the last one that differs.
    ///
    /// # Errors
    /// If there is none, or it is refused; the current configuration stays in use.
    pub async fn rollback(&self, number: Option<u64>, terms: Terms) -> Result<Reloaded, ReloadError> {
        let mut applied = self.applied.lock().await;
        self.refuse_in_fleet(&applied)?;
        let number = applied.revisions.earlier(number)?.number;
        let (text, loaded) = self.kept(&applied, number).await?;
        let path = Arc::clone(&self.path);
        let file = self.reading.run(move || files::read(&path).ok().map(|text| Sum::of(&text))).await?;
        let (sums, who) = ((Sum::of(&text), file), terms.remark.who.clone());
        let revision = applied.revisions.next(Origin::Rollback(number), sums, who, None, SystemTime::now());
        let next = Next { text, loaded, revision: Some(revision), must_persist: false };
        let remark = terms.remark.clone();
        let done = self.apply(&mut applied, next, terms).await;
        self.note(&done, &remark);
        done
    }

    /// The number of the configuration that a rollback would go back to, and its contents.
    ///
    /// # Errors
    /// Like [`rollback`](Self::rollback).
    pub async fn earlier(&self, number: Option<u64>) -> Result<(u64, Loaded), ReloadError> {
        let applied = self.applied.lock().await;
        let number = applied.revisions.earlier(number)?.number;
        Ok((number, self.kept(&applied, number).await?.1))
    }

    async fn kept(&self, applied: &Applied, number: u64) -> Result<(Arc<[u8]>, Loaded), ReloadError> {
        let copies = applied.copies.clone();
        let read = move || {
            let text = copies.and_then(|copies| copies.text(number)).ok_or(ReloadError::Lost(number))?;
            let loaded = super::usable(&name(number), &text)?;
            Ok((text.into(), loaded))
        };
        self.reading.run(read).await?
    }

    /// Goes back from a configuration that nobody has confirmed in time.
    ///
    /// # Errors
    /// Why no earlier configuration can be used.
    pub(super) async fn go_back(&self) -> Result<(), String> {
        let mut applied = self.applied.lock().await;
        let Some(current) = applied.revisions.current().filter(|current| current.pending.is_some()).cloned()
        else {
            return Ok(());
        };
        let mut why = "no earlier configuration is readable".to_owned();
        for number in applied.revisions.back() {
            let done = match self.kept(&applied, number).await {
                Ok((text, loaded)) => {
                    let sums = (Sum::of(&text), current.file);
                    let (origin, now) = (Origin::NotConfirmed(number), SystemTime::now());
                    let revision = Some(applied.revisions.next(origin, sums, None, None, now));
                    let next = Next { text, loaded, revision, must_persist: false };
                    self.apply(&mut applied, next, Terms { no_wait: true, ..Terms::default() }).await
                }
                Err(error) => Err(error),
            };
            self.note(&done, &Remark::default());
            match done {
                Ok(_) => {
                    info!(
                        number,
                        given_up = current.number,
                        "went back: nobody has confirmed the configuration in time"
                    );
                    return Ok(());
                }
                Err(error) => why = super::first_mistake(&error.to_string()).to_owned(),
            }
        }
        self.publish(&applied, Some(why.clone()));
        Err(why)
    }

    /// Retries to write the revision in use.
    pub(super) async fn save_again(&self) -> bool {
        let mut applied = self.applied.lock().await;
        let Some(current) = applied.revisions.current().cloned().filter(|_| applied.unsaved.is_some()) else {
            return true;
        };
        let text = Arc::clone(&applied.text);
        applied.unsaved = self.save(&applied, &current, &text).await.err();
        let saved = applied.unsaved.is_none();
        if saved {
            info!(number = current.number, "the configuration in use is persisted again");
        }
        let stuck = self.standing().stuck;
        self.publish(&applied, stuck);
        saved
    }
}

/// Rounded to the nearest second, for people.
pub(super) fn whole_seconds(time: std::time::Duration) -> std::time::Duration {
    std::time::Duration::from_secs(
        time.as_millis().saturating_add(500).div_euclid(1000).try_into().unwrap_or(u64::MAX),
    )
}
