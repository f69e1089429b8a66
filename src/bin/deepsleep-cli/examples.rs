//! The examples in `--help`. A test parses every line.

pub const TRAIN: &str = "Examples:
  # train a control, then apply the paper's defense to it
  deepsleep-cli train --epochs 5 --out control.safetensors
  deepsleep-cli train --defense deepsleep --from control.safetensors --out defended.safetensors
  # adversarial training against smaller perturbations, with the settings in the paper
  deepsleep-cli train --defense adversarial-training --from control.safetensors --profile paper --set adversarial_training.eps=32/255 --out robust.safetensors
  # continue after Ctrl-C
  deepsleep-cli train --epochs 5 --out control.safetensors --resume";

pub const ATTACK: &str = "Examples:
  # list the attacks and their options
  deepsleep-cli attack --list
  # attack the first 100 test images with PGD and draw a picture
  deepsleep-cli attack --model control.safetensors --attack pgd:steps=100,restarts=5 --eps 64/255 --images 100 --grid pgd.png
  # craft images on one network, save them, and show them to another
  deepsleep-cli attack --model control.safetensors --attack bim --eps 64/255 --images 1000 --save bim.npz
  deepsleep-cli evaluate --model defended.safetensors --crafted bim.npz";

pub const EVALUATE: &str = "Examples:
  # clean accuracy and confusion matrix
  deepsleep-cli evaluate --model control.safetensors --confusion
  # standard AutoAttack on 1,000 images; can be interrupted and resumed
  deepsleep-cli evaluate --model control.safetensors --attack autoattack --eps 16/255 --images 1000 --out result.json
  # bounds on the robust accuracy: what AutoAttack leaves, and what no attack can take
  deepsleep-cli evaluate --model robust.safetensors --attack autoattack --certify --eps 64/255 --images 1000
  # several attacks and radii against the spiking form of the network
  deepsleep-cli evaluate --model defended.safetensors --model-kind snn --attack fgsm --attack apgd-ce --eps 8/255,16/255 --images 200
  # transfer: attack another network and show the images to this one
  deepsleep-cli evaluate --model defended.safetensors --source control.safetensors --attack pgd --eps 64/255 --images 1000";

pub const AUDIT: &str = "Examples:
  # can the robust accuracy of this network at 16/255 be trusted?
  deepsleep-cli audit --model control.safetensors --eps 16/255 --out audit.json --page audit.html
  # check a claim about the spiking form, also with images crafted on the control
  deepsleep-cli audit --model defended.safetensors --model-kind snn --eps 64/255 --claim 0.62 --twin control.safetensors";

#[cfg(test)]
mod tests {
    use crate::Cli;
    use clap::Parser;

    #[test]
    fn examples_are_commands() {
        let all = [super::TRAIN, super::ATTACK, super::EVALUATE, super::AUDIT];
        let lines = all.iter().flat_map(|text| text.lines()).map(str::trim);
        let commands: Vec<&str> = lines.filter(|line| line.starts_with("deepsleep-cli ")).collect();
        assert_eq!(commands.len(), 15);
        for line in commands {
            let parsed = Cli::try_parse_from(line.split_whitespace());
            assert!(parsed.is_ok(), "{line}: {}", parsed.err().unwrap());
        }
    }
}
