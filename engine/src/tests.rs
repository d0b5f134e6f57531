use std::time::Instant;

/// A moment. Any will do: nothing waits for it.
#[allow(clippy::disallowed_methods)]
pub(crate) fn moment() -> Instant {
    Instant::now()
}
