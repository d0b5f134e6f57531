//! What operators set at run time, and how it survives a restart.
