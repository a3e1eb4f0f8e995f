//! A copy of the whole directory of a set is a set of its own.

use super::*;

/// A range is written in part when the directory is copied, and the copy is opened first. The files of the
/// original must stay as they are, and then both must go on.
#[test]
fn a_copy_is_opened_without_a_change_to_the_original() {
    let (dir, copy): (Dir, Dir) = (Dir::new(), Dir::new());
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let (mut set, _) = open_set_on(&disk, &dir);
    set.append(0, 6);
    drop(set);
    // The rest of the last range is lost.
    let last = fs::OpenOptions::new().write(true).open(file(&dir, "b")).unwrap();
    last.set_len(3).unwrap();
    let before = texts(&dir);
    fs::create_dir(copy.0.join("k")).unwrap();
    for name in ["all.journal", "k/a.log", "k/b.log", "k/c.log"] {
        fs::copy(dir.0.join(name), copy.0.join(name)).unwrap();
    }
    for one in [&copy, &dir] {
        let (mut set, from) = open_set_on(&disk, one);
        assert_eq!(from, 0, "no range is whole");
        if one.0 == copy.0 {
            assert_eq!(texts(&dir), before, "the original is not touched");
        }
        set.append(from, 9);
        drop(set);
        assert_eq!(texts(one), all_lines(0, 9));
    }
}
