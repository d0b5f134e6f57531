use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::UNIX_EPOCH;

use maglev_engine::overrides as text;
use maglev_engine::overrides::{BackendOverride, Stamp, Stamped};
use nix::sys::stat::Mode;

use super::*;

struct Place {
    _parent: tempfile::TempDir,
    path: PathBuf,
}

fn place() -> Place {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("state");
    Place { _parent: parent, path }
}

impl Place {
    fn open(&self) -> StateDirectory {
        StateDirectory::open(&self.path).unwrap()
    }

    /// A directory whose file has been read.
    fn loaded(&self) -> StateDirectory {
        let mut directory = self.open();
        directory.load().unwrap();
        directory
    }

    /// A state directory with this overrides file.
    fn with(contents: &[u8]) -> Place {
        let place = place();
        std::fs::create_dir(&place.path).unwrap();
        place.write(FILE, contents);
        place
    }

    fn write(&self, name: &str, contents: &[u8]) {
        std::fs::write(self.path.join(name), contents).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path.join(name)).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.path).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The text of an error, with `DIR` for the directory.
    fn say(&self, error: &StateError) -> String {
        error.to_string().replace(&self.path.display().to_string(), "DIR")
    }
}

/// So many paused backends.
fn paused(count: usize) -> Overrides {
    let mut overrides = Overrides::default();
    for number in 0..count {
        let dated = Stamped { value: BackendOverride::Paused, stamp: Stamp::at(UNIX_EPOCH) };
        overrides.backends.insert(format!("web{number}"), dated);
    }
    overrides
}

fn text_of(overrides: &Overrides) -> Vec<u8> {
    text::render(overrides).unwrap().into_bytes()
}

fn full() -> io::Error {
    io::Error::from(Errno::ENOSPC)
}

#[test]
fn what_is_saved_is_loaded_by_the_next_process() {
    let place = place();
    let mut directory = place.open();
    let loaded = directory.load().unwrap();
    assert!(loaded.missing && loaded.damaged.is_none() && loaded.overrides.is_empty());
    directory.save(&paused(2)).unwrap();
    directory.save(&paused(3)).unwrap();
    drop(directory);

    let loaded = place.open().load().unwrap();
    assert!(!loaded.missing && loaded.damaged.is_none());
    assert_eq!(loaded.overrides, paused(3));
    assert_eq!(place.names(), [LOCK, FILE]);
}

#[test]
fn nobody_else_may_read_what_is_made() {
    let place = place();
    place.loaded().save(&paused(1)).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&place.path) & !0o750, 0);
    assert_eq!(mode(&place.path.join(FILE)) & !0o640, 0);
    assert_eq!(mode(&place.path.join(LOCK)) & !0o640, 0);
}

#[test]
fn two_do_not_use_one_directory() {
    let place = place();
    let first = place.open();
    let error = StateDirectory::open(&place.path).unwrap_err();
    assert!(matches!(error, StateError::InUse(_)));
    assert_eq!(
        place.say(&error),
        "another process uses the state directory DIR: stop it, or give this one a state directory of its own"
    );
    drop(first);
    place.open();
}

#[test]
fn a_directory_in_use_is_left_as_it_is() {
    let place = place();
    let _first = place.open();
    place.write(TEMPORARY, b"being written");
    StateDirectory::open(&place.path).unwrap_err();
    assert_eq!(place.read(TEMPORARY), b"being written");
}

#[test]
fn what_a_save_left_unfinished_is_removed() {
    let place = Place::with(&text_of(&paused(2)));
    place.write(TEMPORARY, &text_of(&paused(3))[..60]);
    let mut directory = place.open();
    assert_eq!(place.names(), [LOCK, FILE]);
    assert_eq!(directory.load().unwrap().overrides, paused(2));
}

#[test]
fn what_is_no_directory_is_refused() {
    let place = place();
    std::fs::write(&place.path, b"").unwrap();
    let error = StateDirectory::open(&place.path).unwrap_err();
    assert_eq!(place.say(&error), "DIR is not a directory: remove it, or choose another state directory");
}

#[test]
fn the_directory_above_is_not_made() {
    let place = place();
    let error = StateDirectory::open(&place.path.join("below")).unwrap_err();
    assert_eq!(
        place.say(&error),
        "cannot make the directory DIR/below: No such file or directory (os error 2); create the missing \
        directory, or choose another state directory"
    );
}

#[test]
fn a_lock_that_leads_elsewhere_is_not_followed() {
    let place = Place::with(b"");
    symlink("elsewhere", place.path.join(LOCK)).unwrap();
    let mut directory = place.open();
    let error = place.say(directory.unwritable().unwrap());
    assert!(error.starts_with("cannot open DIR/lock: "), "{error}");
    directory.load().unwrap();
    assert_eq!(place.say(&directory.save(&paused(1)).unwrap_err()), error);
    assert!(!place.path.join("elsewhere").exists());
}

#[test]
fn a_damaged_file_is_kept_aside_before_it_is_replaced() {
    let mut damaged = text_of(&paused(3));
    // In the timestamp of the last backend.
    let at = damaged.len() - 10;
    damaged[at] ^= 0x40;
    let place = Place::with(&damaged);
    place.write(ASIDE, b"an older one");
    let mut directory = place.open();
    let loaded = directory.load().unwrap();
    assert_eq!(loaded.overrides, paused(2));
    let damage = loaded.damaged.unwrap();
    assert_eq!((damage.lines.len(), damage.lines[0].line, damage.unlisted), (1, 5, 0));
    assert_eq!(damage.kept.unwrap(), place.path.join(ASIDE));
    assert_eq!(place.read(ASIDE), damaged);
    assert_eq!(place.read(FILE), damaged);

    directory.save(&loaded.overrides).unwrap();
    assert_eq!(place.read(FILE), text_of(&paused(2)));
    assert_eq!(place.read(ASIDE), damaged);
    assert!(directory.load().unwrap().damaged.is_none());
}

#[test]
fn a_damaged_file_that_cannot_be_kept_aside_is_not_replaced() {
    let place = Place::with(b"damaged");
    let obstacle = place.path.join(ASIDE);
    std::fs::create_dir(&obstacle).unwrap();
    let mut directory = place.open();
    let kept = directory.load().unwrap().damaged.unwrap().kept;
    let error = place.say(&kept.unwrap_err());
    assert!(error.starts_with("cannot replace DIR/overrides.damaged: Is a directory"), "{error}");
    directory.save(&paused(1)).unwrap_err();
    assert_eq!(place.read(FILE), b"damaged");

    std::fs::remove_dir(&obstacle).unwrap();
    directory.save(&paused(1)).unwrap();
    assert_eq!(place.read(ASIDE), b"damaged");
    assert_eq!(place.read(FILE), text_of(&paused(1)));
    assert_eq!(place.names(), [LOCK, FILE, ASIDE]);
}

#[test]
fn a_file_that_was_not_read_is_not_replaced() {
    let place = Place::with(b"");
    let header = "maglev-overrides 4 of a later form";
    let later = format!("{header} {:08x};\n", crc32fast::hash(header.as_bytes()));
    place.write(FILE, later.as_bytes());
    let mut directory = place.open();
    let error = directory.load().unwrap_err();
    assert_eq!(
        place.say(&error),
        "cannot read DIR/overrides: it has version 4 of the format, and this program knows version 3; use the \
         program that wrote it, or move the file away, which clears all overrides"
    );
    let error = directory.save(&paused(1)).unwrap_err();
    assert_eq!(place.say(&error), "DIR/overrides has not been read, and is not replaced until it has been");
    assert_eq!(place.read(FILE), later.as_bytes());
    assert_eq!(place.names(), [LOCK, FILE]);

    std::fs::remove_file(place.path.join(FILE)).unwrap();
    assert!(directory.load().unwrap().missing);
    directory.save(&paused(1)).unwrap();
}

#[test]
fn what_is_no_file_is_refused() {
    let place = Place::with(b"");
    let path = place.path.join(FILE);
    let refusal = || place.say(&place.open().load().unwrap_err());
    let not_a_file = "DIR/overrides is not a regular file: remove it, or choose another state directory";

    std::fs::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, Mode::from_bits_truncate(0o600)).unwrap();
    assert_eq!(refusal(), not_a_file);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert_eq!(refusal(), not_a_file);
    std::fs::remove_dir(&path).unwrap();
    symlink("/dev/zero", &path).unwrap();
    assert!(refusal().starts_with("cannot open DIR/overrides: "), "{}", refusal());
}

#[test]
fn a_file_larger_than_is_read_is_neither_read_nor_written() {
    let place = Place::with(b"");
    let set_length = |length| {
        let file = OpenOptions::new().write(true).open(place.path.join(FILE)).unwrap();
        file.set_len(length).unwrap();
    };
    set_length(LARGEST_FILE + 1);
    let error = place.open().load().unwrap_err();
    assert!(matches!(error, StateError::TooLarge(_)), "{error}");
    assert!(place.say(&error).starts_with("DIR/overrides has, or would have, more than the 16777216 bytes"));

    set_length(0);
    let mut directory = place.loaded();
    let error = directory.save(&paused(400_000)).unwrap_err();
    assert!(matches!(error, StateError::TooLarge(_)), "{error}");
    assert_eq!(place.read(FILE), b"");
}

#[test]
fn what_no_configuration_can_have_is_not_saved() {
    let place = Place::with(&text_of(&paused(1)));
    let mut directory = place.loaded();
    let mut overrides = paused(2);
    let dated = Stamped { value: BackendOverride::Paused, stamp: Stamp::at(UNIX_EPOCH) };
    overrides.backends.insert("a\nb".to_owned(), dated);
    let error = directory.save(&overrides).unwrap_err();
    assert!(matches!(error, StateError::Unwritable(_)), "{error}");
    assert_eq!(place.read(FILE), text_of(&paused(1)));
}

/// A disk that fills up after any number of bytes: the old file stays, and the next save succeeds once there
/// is space.
#[test]
fn a_save_that_fails_in_the_middle_leaves_the_old_file() {
    let place = place();
    let mut directory = place.loaded();
    directory.save(&paused(1)).unwrap();
    let new = text_of(&paused(3));
    for room in 0..=new.len() {
        let written = replace(&place.path, TEMPORARY, FILE, |mut file| {
            file.write_all(&new[..room])?;
            Err(full())
        });
        assert_eq!(
            place.say(&written.unwrap_err()),
            "cannot write DIR/overrides.new: No space left on device (os error 28); make room on that file system"
        );
        assert_eq!(place.read(FILE), text_of(&paused(1)));
        assert_eq!(place.names(), [LOCK, FILE]);
    }
    directory.save(&paused(3)).unwrap();
    assert_eq!(place.read(FILE), new);
}

#[test]
fn a_full_device_is_an_error_and_not_a_short_file() {
    let place = place();
    let mut directory = place.loaded();
    directory.save(&paused(1)).unwrap();
    let written = replace(&place.path, TEMPORARY, FILE, |_| {
        let mut device = OpenOptions::new().write(true).open("/dev/full")?;
        device.write_all(&text_of(&paused(3)))
    });
    assert!(place.say(&written.unwrap_err()).contains("No space left on device"));
    assert_eq!(place.read(FILE), text_of(&paused(1)));
}

/// Whatever moment the process dies at, the file is one that a reader could see then.
#[test]
fn a_reader_sees_the_old_file_or_the_new_one() {
    let place = place();
    let mut directory = place.loaded();
    let states = [paused(1), paused(40)];
    directory.save(&states[0]).unwrap();
    let (path, done) = (directory.file(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = [0, 0];
            // The reader runs at least once more after the last save.
            loop {
                let last = done.load(Ordering::Acquire);
                let read = std::fs::read(&path).unwrap();
                let which = states.iter().position(|state| text_of(state) == read);
                seen[which.expect("neither the old file nor the new one")] += 1;
                if last {
                    return seen;
                }
            }
        });
        for number in 1..=100 {
            directory.save(&states[number % 2]).unwrap();
        }
        directory.save(&states[1]).unwrap();
        done.store(true, Ordering::Release);
        assert!(reader.join().unwrap()[1] > 0);
    });
}

#[test]
fn each_reason_comes_with_what_would_be_right() {
    let cases = [
        (Errno::ENOSPC, "make room"),
        (Errno::EDQUOT, "make room"),
        (Errno::EROFS, "make it writable"),
        (Errno::EACCES, "let this process's user read and write there"),
        (Errno::EPERM, "let this process's user read and write there"),
        (Errno::ENOENT, "create the missing directory"),
        (Errno::EIO, "check the state directory"),
    ];
    for (reason, remedy) in cases {
        let error = refused("write", Path::new("/state/overrides.new"))(reason.into()).to_string();
        assert!(error.starts_with("cannot write /state/overrides.new: "), "{error}");
        assert!(error.contains(remedy), "{error}");
    }
}

/// Even root cannot create files there.
#[test]
fn a_directory_that_cannot_be_written_to_is_read_and_says_so() {
    let mut directory = StateDirectory::open(Path::new("/proc/self/fdinfo")).unwrap();
    let unwritable = directory.unwritable().unwrap().to_string();
    assert!(unwritable.starts_with("cannot create /proc/self/fdinfo/lock: "), "{unwritable}");
    assert!(directory.load().unwrap().missing);
    assert_eq!(directory.save(&paused(1)).unwrap_err().to_string(), unwritable);
}

/// Existing overrides stay in effect, and new ones are persisted once the directory is writable.
#[test]
fn a_directory_that_could_not_be_written_to_is_written_to_when_it_can_be() {
    let place = Place::with(&text_of(&paused(1)));
    // Blocks any write, even by root.
    std::fs::create_dir_all(place.path.join(TEMPORARY).join("x")).unwrap();
    let mut directory = place.open();
    let unwritable = place.say(directory.unwritable().unwrap());
    assert!(unwritable.starts_with("cannot remove DIR/overrides.new: "), "{unwritable}");
    assert_eq!(directory.load().unwrap().overrides, paused(1));
    assert!(directory.save(&paused(2)).is_err());
    std::fs::remove_dir_all(place.path.join(TEMPORARY)).unwrap();
    directory.save(&paused(2)).unwrap();
    assert_eq!(place.read(FILE), text_of(&paused(2)));
}

/// As if root had run the brain by hand in the service's directory.
#[test]
fn what_root_makes_belongs_to_the_owner_of_the_directory() {
    if !geteuid().is_root() {
        return;
    }
    let place = place();
    std::fs::create_dir(&place.path).unwrap();
    std::os::unix::fs::chown(&place.path, Some(61237), Some(61238)).unwrap();
    let mut directory = place.loaded();
    directory.save(&paused(1)).unwrap();
    for name in [LOCK, FILE] {
        let found = std::fs::metadata(place.path.join(name)).unwrap();
        assert_eq!((found.uid(), found.gid()), (61237, 61238), "{name}");
    }
}
