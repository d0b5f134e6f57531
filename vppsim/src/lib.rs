//! A VPP to develop, test and try against.
pub mod address;
pub mod fib;
pub mod lb;
pub mod maglev;
pub mod pool;
