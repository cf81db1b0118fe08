//! The command line as shells and `man` read it.

use std::process::{Command, Stdio};

use clap::CommandFactory as _;

const BINARY: &str = env!("CARGO_BIN_EXE_isobath");

/// What is printed, what is said besides, and the exit code.
fn isobath(arguments: &[&str]) -> (String, String, i32) {
    let output = Command::new(BINARY).args(arguments).output().unwrap();
    let [out, said] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
    (out, said, output.status.code().unwrap())
}

fn commands() -> Vec<String> {
    let program = isobath::cli::Cli::command();
    let shown = program.get_subcommands().filter(|it| !it.is_hide_set());
    shown.map(|command| command.get_name().to_owned()).collect()
}

#[test]
fn shells_complete_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (out, said, code) = isobath(&["completions", shell]);
        assert_eq!((code, &*said), (0, ""), "{shell}");
        for command in commands() {
            assert!(out.contains(&command), "{shell}: {command}");
        }
    }
    let (out, said, code) = isobath(&["completions", "tcsh"]);
    assert_eq!((code, &*out), (2, ""));
    assert!(said.contains("tcsh"), "{said}");
}

/// As a user's shell does it.
#[test]
fn bash_completes_a_flag() {
    let script = "source /dev/stdin; COMP_WORDS=(isobath explain --mani); COMP_CWORD=2; _isobath isobath --mani explain; echo \"${COMPREPLY[@]}\"";
    let (completions, _, _) = isobath(&["completions", "bash"]);
    let mut bash = Command::new("bash")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = bash.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, completions.as_bytes()).unwrap();
    drop(input);
    let output = bash.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "--manifests\n");
}

#[test]
fn every_command_has_a_page_of_man() {
    let (program, _, code) = isobath(&["man"]);
    assert_eq!(code, 0);
    assert!(
        program.starts_with(".ie") || program.contains(".TH isobath"),
        "{program}"
    );
    for command in commands() {
        let (page, said, code) = isobath(&["man", &command]);
        assert_eq!((code, &*said), (0, ""), "{command}");
        assert!(page.contains(".SH SYNOPSIS"), "{command}: {page}");
        assert!(program.contains(&command), "{command}");
    }
    for command in ["nothing", "tether"] {
        let (out, said, code) = isobath(&["man", command]);
        assert_eq!((code, &*out), (2, ""), "{said}");
        assert!(said.contains(command), "{said}");
    }
}
