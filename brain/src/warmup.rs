//! When a frontend is programmed for the first time after the start. Pure.
