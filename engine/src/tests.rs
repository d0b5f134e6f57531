use std::time::Instant;

/// An arbitrary moment: nothing waits for it.
#[allow(clippy::disallowed_methods)]
pub(crate) fn moment() -> Instant {
    Instant::now()
}
