//! Deployments that succeed, go on, or fail for reasons outside the archive.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use zip::CompressionMethod::{Deflated, Stored};

use super::{evil::Crafted, *};
use crate::ports::objects::PutOptions;

/// Content that deflate does shorten, but not to nothing; quick to make and different in every line.
fn text(bytes: usize, seed: usize) -> Vec<u8> {
    const LINE: &[u8] = b"the quick brown fox jumps over the lazy dog and then the quick cat does\n";
    let mut text = LINE.repeat(bytes.div_ceil(LINE.len()));
    text.truncate(bytes);
    for (number, line) in text.chunks_mut(LINE.len()).enumerate() {
        let mark = (number.wrapping_add(seed)).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        let marked = mark.len().min(line.len());
        line[..marked].copy_from_slice(&mark[..marked]);
    }
    text
}

#[test]
fn files_are_unpacked_below_the_prefix_with_content_types_and_settings() {
    let objects = buckets();
    let big = text(PART_BYTES * 2 + 5, 1);
    let files: [(&str, &[u8]); 7] = [
        ("./", b""),
        ("index.html", b"<p>hi"),
        ("css/", b""),
        ("css/site.css", b"p{}"),
        ("./empty.txt", b""),
        ("data/bäg.bin", &big),
        ("LICENSE", b"free"),
    ];
    for method in [Stored, Deflated] {
        store(&objects, zip_of(&files, method));
        let request =
            request(&[("ObjectKey", "r/{datetime}/{uuid}"), ("CacheControl", "no-cache"), ("CannedACL", "private")]);
        let outcome = run(&objects, &request).unwrap();
        let prefix = "r/2026-01-01_00-00-00/00000000-0000-0000-0000-000000000007";
        let Outcome::Done(summary) = outcome else { panic!("{outcome:?}") };
        assert_eq!(summary.to_string(), format!("Deployed 5 files ({} bytes) to s3://site/{prefix}", 12 + big.len()));
        let key = |name: &str| format!("{prefix}/{name}");
        assert_eq!(
            objects.keys("site"),
            ["LICENSE", "css/site.css", "data/bäg.bin", "empty.txt", "index.html"].map(key)
        );
        assert_eq!(objects.content("site", &key("data/bäg.bin")).unwrap(), big);
        assert_eq!(objects.content("site", &key("empty.txt")).unwrap(), "");
        let options = objects.options("site", &key("css/site.css")).unwrap();
        assert_eq!(options.content_type.as_deref(), Some("text/css"));
        assert_eq!(options.cache_control.as_deref(), Some("no-cache"));
        assert_eq!(options.acl.as_deref(), Some("private"));
        assert_eq!(objects.open_uploads(), 0);
    }
}

#[test]
fn without_extract_the_artifact_is_copied_as_it_is() {
    let objects = buckets();
    objects.store("artifacts", "a.zip", Bytes::from("not even a zip"), BTreeMap::new());
    let request = request(&[("Extract", "false"), ("ObjectKey", "dl/{uuid}.json")]);
    for _ in 0..2 {
        let Outcome::Done(summary) = run(&objects, &request).unwrap() else { panic!("done") };
        assert_eq!((summary.files, summary.bytes), (1, 14));
        assert_eq!(objects.keys("site"), ["dl/00000000-0000-0000-0000-000000000007.json"]);
        assert_eq!(objects.content("site", &summary.target.key).unwrap(), "not even a zip");
        let options = objects.options("site", &summary.target.key).unwrap();
        assert_eq!(options.content_type.as_deref(), Some("application/json"));
    }
    assert_eq!(objects.counts.reads.load(SeqCst), 0, "nothing passes through");
}

#[test]
fn the_work_may_move_between_threads() {
    fn movable(_: &impl Send) {}
    let (objects, request) = (buckets(), request(&[]));
    movable(&deploy(&objects, &request, || false));
}

#[test]
fn zip64_archives_are_read() {
    let objects = buckets();
    let archive = Crafted::of(&[("a.txt", b"one"), ("b/c.txt", b"two")]).zip64().build();
    store(&objects, archive);
    run(&objects, &request(&[])).unwrap();
    assert_eq!(objects.keys("site"), ["a.txt", "b/c.txt"]);
    assert_eq!(objects.content("site", "b/c.txt").unwrap(), "two");
}

#[test]
fn archives_of_entries_of_unknown_size_when_written_are_read() {
    let objects = buckets();
    let mut crafted = Crafted::of(&[("a.txt", b"one"), ("b.txt", b"two")]);
    for file in &mut crafted.files {
        // Bit 3: sizes and CRC follow the data; the local header has zeros.
        file.flags = 8;
        file.after = b"PK\x07\x08............".to_vec();
    }
    store(&objects, crafted.build());
    run(&objects, &request(&[])).unwrap();
    assert_eq!(objects.content("site", "b.txt").unwrap(), "two");
}

#[test]
fn uploads_run_in_parallel_up_to_the_bound_and_small_files_share_reads() {
    let objects = buckets();
    let names: Vec<String> = (0..200).map(|number| format!("f{number:03}")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), b"x".as_slice())).collect();
    store(&objects, zip_of(&files, Stored));
    run(&objects, &request(&[])).unwrap();
    assert_eq!(objects.counts.writing_most.load(SeqCst), UPLOADS_PARALLEL_MAX);
    assert_eq!(objects.counts.writes.load(SeqCst), 200);
    assert_eq!(objects.counts.reads.load(SeqCst), 1);
}

#[test]
fn a_run_out_of_time_says_how_far_it_came_and_the_next_goes_on_from_there() {
    let objects = buckets();
    let names: Vec<String> = (0..60).map(|number| format!("f{number:02}")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), b"12345".as_slice())).collect();
    store(&objects, zip_of(&files, Deflated));
    let mut request = request(&[]);
    let mut runs = 0;
    let summary = loop {
        runs += 1;
        // Verification asks once per file too.
        let asked = AtomicUsize::new(0);
        let patience = if runs == 1 { 150 } else { 20 };
        match block_on(deploy(&objects, &request, || asked.fetch_add(1, SeqCst) > patience)).unwrap() {
            Outcome::Done(summary) => break summary,
            Outcome::Unfinished(progress) => {
                assert!(progress.files > request.progress.files, "every run gets on");
                assert_eq!(progress.bytes, progress.files * 5);
                request.progress = progress;
            }
        }
    };
    assert!(runs > 2, "{runs}");
    assert_eq!((summary.files, summary.bytes), (60, 300));
    assert_eq!(objects.keys("site").len(), 60);
    assert!(objects.counts.writes.load(SeqCst) < 60 + runs * UPLOADS_PARALLEL_MAX);
}

#[test]
fn time_running_out_inside_a_large_file_gives_it_up_whole() {
    let objects = buckets();
    store(&objects, zip_of(&[("big.bin", &text(PART_BYTES * 4, 3))], Stored));
    let asked = AtomicUsize::new(0);
    // The verification asks about seven times.
    let outcome = block_on(deploy(&objects, &request(&[]), || asked.fetch_add(1, SeqCst) > 8)).unwrap();
    assert_eq!(outcome, Outcome::Unfinished(Progress::default()));
    assert_eq!((objects.keys("site").len(), objects.open_uploads()), (0, 0));
    assert!(objects.counts.writes.load(SeqCst) > 0, "it had begun");
}

#[test]
fn a_failing_write_ends_the_action_with_its_failure_type_and_leaves_no_parts() {
    let at = ObjectAt::new("site", "k");
    let operation = "PutObject";
    let cases = [
        (ObjectsError::AccessDenied { operation, at: at.clone() }, FailureKind::PermissionError),
        (ObjectsError::Throttled { operation, at: at.clone() }, FailureKind::SystemUnavailable),
        (ObjectsError::NotFound(Missing::Bucket, at.clone()), FailureKind::ConfigurationError),
        (ObjectsError::Other { operation, at, reason: "odd".to_owned() }, FailureKind::JobFailed),
    ];
    let big = text(PART_BYTES + 1, 9);
    let archive = zip_of(&[("a", b"1"), ("big1", &big), ("b", b"2"), ("big2", &big), ("c", b"3")], Stored);
    for (refusal, kind) in cases {
        for number in [0, 3, 6] {
            let objects = buckets();
            store(&objects, archive.clone());
            *objects.refuse_write.lock().unwrap() = Some((number, refusal.clone()));
            let error = run(&objects, &request(&[])).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert_eq!(error.is_retryable(), kind == FailureKind::SystemUnavailable);
            assert_eq!(objects.open_uploads(), 0);
        }
    }
    let objects = buckets();
    let missing = run(&objects, &request(&[])).unwrap_err();
    assert!(missing.to_string().starts_with("the input artifact could not be read"), "{missing}");
}

#[test]
fn what_was_begun_before_at_the_same_keys_cannot_be_completed_any_more() {
    let archive = zip_of(&[("index.html", b"new")], Stored);
    for (settings, key, expected) in [
        (&[][..], "index.html", b"new".to_vec()),
        (&[("ObjectKey", "site")], "site/index.html", b"new".to_vec()),
        (&[("Extract", "false"), ("ObjectKey", "app.zip")], "app.zip", archive.clone()),
    ] {
        let objects = buckets();
        store(&objects, archive.clone());
        let begin = |key: &str| {
            let at = ObjectAt::new("site", key);
            let upload = block_on(objects.begin_upload(&at, &PutOptions::default())).unwrap();
            let part = block_on(objects.put_part(&upload, 1, Bytes::from_static(b"old"))).unwrap();
            move |objects: &MemoryObjects| block_on(objects.complete_upload(&upload, &[part]))
        };
        let (same, longer) = (begin(key), begin(&format!("{key}.map")));
        run(&objects, &request(settings)).unwrap();
        assert!(same(&objects).is_err_and(|error| error.is_retryable()), "{key}");
        assert_eq!(objects.content("site", key).as_deref(), Some(&*expected));
        longer(&objects).expect("it is none of this deployment's business");
    }
}

#[test]
fn an_artifact_replaced_while_it_is_read_is_noticed() {
    let objects = MemoryObjects::default();
    objects.create_bucket("artifacts", false);
    objects.create_bucket("site", false);
    store(&objects, zip_of(&[("a", b"1")], Stored));
    let pinned = block_on(objects.head(&ObjectAt::new("artifacts", "a.zip"), None)).unwrap();
    store(&objects, zip_of(&[("a", b"2")], Stored));
    let archive = Archive::new(&objects, pinned.pin(&ObjectAt::new("artifacts", "a.zip")), pinned.size);
    let error = block_on(read_directory(&archive)).map(|_| ()).unwrap_err();
    assert!(matches!(error, DirectoryError::Objects(ObjectsError::Changed(_))));
}

/// 1 GiB of 32 MiB files, made as they are read: what the action holds stays within its constants.
#[test]
fn a_gigabyte_passes_through_a_bounded_window() {
    const FILES: u64 = 32;
    const FILE_BYTES: u64 = 32 * 1024 * 1024;
    let block: Bytes = text(FILE_BYTES as usize, 5).into();
    let (headers, directory) = Crafted::stored_alike(FILES, &block);
    let stride = headers[0].len() as u64 + FILE_BYTES;
    let size = FILES * stride + directory.len() as u64;
    let mut objects = MemoryObjects::default();
    objects.discard = true;
    objects.create_bucket("artifacts", true);
    objects.create_bucket("site", false);
    objects.store_generated("artifacts", "a.zip", size, move |range| {
        let mut bytes = Vec::with_capacity((range.end - range.start) as usize);
        let mut at = range.start;
        while at < range.end {
            let (number, inside) = ((at / stride) as usize, (at % stride) as usize);
            let source: &[u8] = match headers.get(number) {
                None => &directory[(at - FILES * stride) as usize..],
                Some(header) if inside < header.len() => &header[inside..],
                Some(header) => &block[inside - header.len()..],
            };
            let taken = source.len().min((range.end - at) as usize);
            bytes.extend_from_slice(&source[..taken]);
            at += taken as u64;
        }
        bytes.into()
    });
    let Outcome::Done(summary) = run(&objects, &request(&[])).unwrap() else { panic!("done") };
    assert_eq!((summary.files, summary.bytes), (FILES, FILES * FILE_BYTES));
    let window = UPLOADS_PARALLEL_MAX * (PART_BYTES + READ_BYTES as usize) + 4 * archive::BLOCK_BYTES as usize;
    let held = objects.held_most();
    assert!(held <= window, "{held} bytes were held, {window} are allowed");
    assert!(held > PART_BYTES, "the count counts");
}
