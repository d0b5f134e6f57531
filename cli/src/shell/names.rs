//! Names known to maglev-brain, and which of them an argument accepts.

use maglev_proto::{Frontend, Override};

use crate::shell::walk::Walk;
use crate::tree::Kind;

/// Names, as far as fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) frontends: Vec<FrontendNames>,
    pub(crate) backends: Vec<String>,
    pub(crate) healthchecks: Vec<String>,
    pub(crate) overrides: Vec<OverrideNames>,
}

/// A frontend with its pools and their backends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FrontendNames {
    pub(crate) name: String,
    pub(crate) pools: Vec<(String, Vec<String>)>,
}

/// An override: of a backend's state or, with a place, of its weight there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OverrideNames {
    pub(crate) backend: String,
    /// Frontend and pool.
    pub(crate) place: Option<(String, String)>,
}

/// A list of names that maglev-brain provides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum List {
    Frontends,
    Backends,
    HealthChecks,
    Overrides,
}

impl From<Frontend> for FrontendNames {
    fn from(frontend: Frontend) -> Self {
        let pools = frontend
            .pools
            .into_iter()
            .map(|pool| (pool.name, pool.backends.into_iter().map(|backend| backend.backend).collect()));
        Self { name: frontend.name, pools: pools.collect() }
    }
}

impl From<Override> for OverrideNames {
    fn from(set: Override) -> Self {
        let place = (!set.frontend.is_empty()).then_some((set.frontend, set.pool));
        Self { backend: set.backend, place }
    }
}

/// The list with names of this kind; `None` if there are no names.
pub(crate) fn list(kind: Kind) -> Option<List> {
    match kind {
        Kind::Word | Kind::Number | Kind::EventWord | Kind::RemarkWord(_) => None,
        Kind::Frontend | Kind::Pool | Kind::Member => Some(List::Frontends),
        Kind::Backend => Some(List::Backends),
        Kind::HealthCheck => Some(List::HealthChecks),
        Kind::SetBackend | Kind::SetFrontend | Kind::SetPool | Kind::SetMember => Some(List::Overrides),
    }
}

impl Names {
    /// Names of this kind that fit the preceding arguments; sorted and distinct.
    pub(crate) fn of(&self, kind: Kind, walk: &Walk<'_>) -> Vec<&str> {
        let given = |id| walk.given(id).unwrap_or_default();
        let mut names: Vec<&str> = match kind {
            Kind::Word | Kind::Number | Kind::EventWord | Kind::RemarkWord(_) => Vec::new(),
            Kind::Frontend => self.frontends.iter().map(|frontend| frontend.name.as_str()).collect(),
            Kind::Pool => self.pools(given("frontend")).map(|(pool, _)| pool.as_str()).collect(),
            Kind::Member => {
                let pools = self.pools(given("frontend")).filter(|(pool, _)| pool == given("pool"));
                pools.flat_map(|(_, backends)| backends).map(String::as_str).collect()
            }
            Kind::Backend => self.backends.iter().map(String::as_str).collect(),
            Kind::HealthCheck => self.healthchecks.iter().map(String::as_str).collect(),
            Kind::SetBackend => {
                let set = self.overrides.iter().filter(|set| set.place.is_none());
                set.map(|set| set.backend.as_str()).collect()
            }
            Kind::SetFrontend => self.set_weights().map(|(frontend, _, _)| frontend).collect(),
            Kind::SetPool => {
                let here = self.set_weights().filter(|(frontend, _, _)| *frontend == given("frontend"));
                here.map(|(_, pool, _)| pool).collect()
            }
            Kind::SetMember => {
                let is_here = |(frontend, pool, _): &(&str, &str, &str)| {
                    *frontend == given("frontend") && *pool == given("pool")
                };
                self.set_weights().filter(is_here).map(|(_, _, backend)| backend).collect()
            }
        };
        names.retain(|name| can_be_typed(name));
        names.sort_unstable();
        names.dedup();
        names
    }

    fn pools(&self, frontend: &str) -> impl Iterator<Item = &(String, Vec<String>)> {
        self.frontends.iter().filter(move |known| known.name == frontend).flat_map(|known| &known.pools)
    }

    /// Frontend, pool and backend.
    fn set_weights(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.overrides.iter().filter_map(|set| {
            let (frontend, pool) = set.place.as_ref()?;
            Some((frontend.as_str(), pool.as_str(), set.backend.as_str()))
        })
    }
}

/// Any valid name can be typed. An invalid one, from a malicious server, must not reach the terminal.
fn can_be_typed(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '\'' | '"' | '\\');
    !name.is_empty() && !name.starts_with(['-', '#']) && name.chars().all(is_plain)
}

#[cfg(test)]
mod tests;
