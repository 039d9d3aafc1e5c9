//! Listings in pages.

use crate::server::Server;

async fn fill(server: &Server) {
    server.versioned_bucket("data").await;
    for key in ["a", "b/1", "b/2", "b/c/3", "d", "e/1", "é", "z"] {
        server.put("data", key, key).await;
    }
    server.put("data", "gone", "x").await;
    server.client.delete_object().bucket("data").key("gone").send().await.expect("deleted");
}

#[tokio::test]
async fn pages_of_any_size_add_up() {
    let server = Server::start().await;
    fill(&server).await;
    for (prefix, delimiter, expected) in [
        ("", None, vec!["a", "b/1", "b/2", "b/c/3", "d", "e/1", "z", "é"]),
        ("", Some("/"), vec!["a", "b/", "d", "e/", "z", "é"]),
        ("b/", Some("/"), vec!["b/1", "b/2", "b/c/"]),
        ("b", None, vec!["b/1", "b/2", "b/c/3"]),
        ("nothing", None, vec![]),
    ] {
        for size in 1..=9 {
            let mut all = Vec::new();
            let mut token = None;
            loop {
                let request = server.client.list_objects_v2().bucket("data").prefix(prefix).max_keys(size);
                let request = request.set_delimiter(delimiter.map(str::to_owned)).set_continuation_token(token);
                let page = request.send().await.expect("listed");
                let mut names: Vec<String> = page.contents().iter().filter_map(|it| it.key.clone()).collect();
                names.extend(page.common_prefixes().iter().filter_map(|it| it.prefix.clone()));
                assert_eq!(page.key_count(), i32::try_from(names.len()).ok());
                assert!(names.len() <= usize::try_from(size).expect("positive"));
                names.sort();
                all.extend(names);
                token = page.next_continuation_token().map(str::to_owned);
                assert_eq!(page.is_truncated(), Some(token.is_some()));
                if token.is_none() {
                    break;
                }
            }
            assert_eq!(all, expected, "prefix {prefix:?}, delimiter {delimiter:?}, size {size}");
        }
    }
}

#[tokio::test]
async fn the_old_listing_goes_on_after_a_marker() {
    let server = Server::start().await;
    fill(&server).await;
    let page = server.client.list_objects().bucket("data").delimiter("/").max_keys(2).send().await.expect("listed");
    assert_eq!(page.next_marker(), Some("b/"));
    let page = server.client.list_objects().bucket("data").delimiter("/").marker("b/").send().await.expect("listed");
    let keys: Vec<_> = page.contents().iter().filter_map(|it| it.key()).collect();
    assert_eq!(keys, ["d", "z", "é"]);
    let encoded = server.raw("GET", "/data?list-type=2&encoding-type=url&prefix=%C3%A9", &[], b"").await;
    let encoded = String::from_utf8_lossy(encoded.body()).into_owned();
    assert!(encoded.contains("<Key>%C3%A9</Key>") && encoded.contains("<EncodingType>url</EncodingType>"), "{encoded}");
}

#[tokio::test]
async fn pages_of_versions_add_up() {
    let server = Server::start().await;
    server.versioned_bucket("data").await;
    let mut expected = Vec::new();
    for key in ["a", "b", "c"] {
        let mut ids = Vec::new();
        for body in ["1", "2", "3"] {
            ids.push(server.put("data", key, body).await.expect("versioned"));
        }
        expected.extend(ids.into_iter().rev());
    }
    for size in 1..=9 {
        let mut all = Vec::new();
        let (mut key, mut version) = (None, None);
        loop {
            let request = server.client.list_object_versions().bucket("data").max_keys(size);
            let page = request.set_key_marker(key).set_version_id_marker(version).send().await.expect("listed");
            all.extend(page.versions().iter().filter_map(|it| it.version_id.clone()));
            if page.is_truncated() != Some(true) {
                break;
            }
            (key, version) = (page.next_key_marker, page.next_version_id_marker);
        }
        assert_eq!(all, expected, "size {size}");
    }
}
