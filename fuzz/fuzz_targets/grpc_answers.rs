//! Runs [`maglev_fuzz::grpc_answers::check`] on whatever the fuzzer makes.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| maglev_fuzz::grpc_answers::check(data));
