//! `--attack NAME[:KEY=VALUE,...]`: any text is an attack or an error, as itself and as it is run for transfer.

use deepsleep::attack::{AttackSpec, Budget, Norm, parse_attack};

pub fn run(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let parsed = parse_attack(text);
    let spec = text.parse::<AttackSpec>();
    assert_eq!(spec.is_ok(), parsed.is_ok());
    if let Ok(spec) = spec {
        assert_eq!(spec.to_string().parse::<AttackSpec>().ok().as_ref(), Some(&spec));
        spec.transfer_form().build().expect("what can be run can be run for transfer");
    }
    if let Ok(attack) = parsed {
        for norm in [Norm::Linf, Norm::L2, Norm::L1] {
            let _ = attack.option_warnings(&Budget { norm, eps: 0.3, seed: 0 });
        }
        let _ = attack.info();
    }
}
