#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| plimsoll::fuzzing::event(bytes));
