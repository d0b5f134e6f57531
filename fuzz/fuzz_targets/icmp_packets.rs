//! Runs [`maglev_fuzz::icmp_packets::check`] on whatever the fuzzer makes.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| maglev_fuzz::icmp_packets::check(data));
