//! Runs [`maglev_fuzz::fleet_records::check`] on whatever the fuzzer makes.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| maglev_fuzz::fleet_records::check(data));
