#![no_main]

libfuzzer_sys::fuzz_target!(init: fuzz::only_what_escapes(), |bytes: &[u8]| detect_credits::fuzzing::manifest(bytes));
