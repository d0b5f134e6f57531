//! Runs [`maglev_fuzz::rpc_frames::check`] on whatever the fuzzer makes.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| maglev_fuzz::rpc_frames::check(data));
