#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| detect_credits::fuzzing::csv(bytes));
