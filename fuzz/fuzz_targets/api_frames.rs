//! Runs [`maglev_fuzz::api_frames::check`] on whatever the fuzzer makes.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| maglev_fuzz::api_frames::check(data));
