//! A VPP to develop, test and try against.
pub mod address;
pub mod api;
pub mod fib;
pub mod lb;
pub mod maglev;
pub mod pool;
pub mod text;
