#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| detect_credits::fuzzing::description(text));
