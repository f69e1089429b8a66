#![cfg_attr(fuzzing, no_main)]
deepsleep_fuzz::target!("architecture");
