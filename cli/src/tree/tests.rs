use super::*;

/// Calls `visit` with each word and the words on the way to it.
fn each<'t>(command: &'t Command, path: &mut Vec<&'t str>, visit: &mut impl FnMut(&[&str], &Command)) {
    visit(path, command);
    for word in words(command) {
        path.push(word.get_name());
        each(word, path, visit);
        path.pop();
    }
}

#[test]
fn every_argument_has_a_known_kind() {
    let (tree, mut count) = (of_shell(), 0);
    each(&tree, &mut Vec::new(), &mut |path, command| {
        for arg in command.get_positionals() {
            let name = arg.get_id();
            assert!(
                kind(path, arg).is_some(),
                "{path:?} takes {name}, of which KINDS does not tell the kind"
            );
            count += 1;
        }
    });
    assert!(count >= 20, "{count}");
}

/// Otherwise a word could be mistaken for an argument.
#[test]
fn a_command_has_words_or_arguments() {
    each(&of_shell(), &mut Vec::new(), &mut |path, command| {
        let both = command.has_subcommands() && command.get_positionals().next().is_some();
        assert!(!both, "{path:?}");
    });
}

#[test]
fn every_word_and_argument_has_a_line_of_help() {
    each(&of_shell(), &mut Vec::new(), &mut |path, command| {
        assert!(command.get_about().is_some(), "{path:?}");
        for arg in command.get_positionals().filter(|arg| !arg.is_hide_set()) {
            assert!(arg.get_help().is_some(), "{path:?} {}", arg.get_id());
        }
    });
}

#[test]
fn words_of_one_shot_use_are_hidden() {
    let tree = of_shell();
    let words: Vec<_> = words(&tree).map(Command::get_name).collect();
    for word in ["show", "set", "clear", "config", "help", "exit", "quit"] {
        assert!(words.contains(&word), "{word}: {words:?}");
    }
    for word in ONE_SHOT_ONLY {
        assert!(!words.contains(&word), "{word}: {words:?}");
    }
}
