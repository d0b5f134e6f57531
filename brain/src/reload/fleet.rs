//! Configurations that a member of a fleet takes from it, instead of from its file.

use std::sync::Arc;
use std::time::SystemTime;

use maglev_engine::config::Loaded;
use maglev_engine::overrides::Remark;
use maglev_engine::revisions::{Origin, Revision, Sum};

use super::applied::Next;
use super::{Applied, ReloadError, Reloaded, Reloader, usable};
use crate::controller::Terms;

impl Reloader {
    /// The same for a member of this fleet. Once a configuration was taken from it, the file is not used.
    #[must_use]
    pub fn in_fleet(self, fleet: &str) -> Self {
        Self { fleet: Some(fleet.into()), ..self }
    }

    pub(super) fn refuse_in_fleet(&self, applied: &Applied) -> Result<(), ReloadError> {
        let takes = applied.revisions.current().and_then(Revision::of_fleet).is_some();
        match &self.fleet {
            Some(fleet) if takes => Err(ReloadError::Fleet(Arc::clone(fleet))),
            _ => Ok(()),
        }
    }

    /// The revision of the fleet that is in use.
    pub fn fleet_revision(&self) -> Option<u64> {
        self.standing.borrow().current.as_ref().and_then(Revision::of_fleet)
    }

    /// Validates a text that this process would run; `name` is shown in the diagnostics.
    ///
    /// # Errors
    /// If it would be refused.
    pub async fn validate(&self, name: String, text: Arc<[u8]>) -> Result<Loaded, ReloadError> {
        self.reading.run(move || usable(&name, &text)).await?
    }

    /// Takes a revision of the fleet's configuration into use. Does not wait for VPP.
    ///
    /// # Errors
    /// If it is refused; the current configuration stays in use.
    pub async fn take(&self, number: u64, text: Arc<[u8]>, remark: Remark) -> Result<Reloaded, ReloadError> {
        let mut applied = self.applied.lock().await;
        let taken = async {
            let loaded = self.validate(format!("fleet revision {number}"), Arc::clone(&text)).await?;
            let (sums, who) = ((Sum::of(&text), None), remark.who.clone());
            let revision = applied.revisions.next(Origin::Fleet(number), sums, who, None, SystemTime::now());
            let next = Next { text, loaded, revision: Some(revision), must_persist: false };
            let terms = Terms { no_wait: true, remark: remark.clone(), ..Terms::default() };
            self.apply(&mut applied, next, terms).await
        };
        let taken = taken.await;
        self.note(&taken, &remark);
        taken
    }

    /// Goes back to the file, since the fleet has no configuration.
    ///
    /// # Errors
    /// If the file is refused; the current configuration stays in use.
    pub async fn take_file(&self, remark: Remark) -> Result<Reloaded, ReloadError> {
        let mut applied = self.applied.lock().await;
        let terms = Terms { no_wait: true, remark, ..Terms::default() };
        self.reload_file(&mut applied, terms, None).await
    }
}
