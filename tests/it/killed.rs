//! The process is killed at random points of the story and started again: the story ends as if nothing had happened.

use std::time::Duration;

use engine::ports::Entropy;
use local::demo::{Client, Ending, Narrator, Story, ending};
use runtime::SystemEntropy;
use tempfile::tempdir;

use crate::process::SystemProcess;

/// Kills in all.
const KILLS_MIN: usize = 100;
/// Longest life between two kills. The story takes some seconds, so every part of it is hit sooner or later; a start
/// takes a good part of a second, so starting is hit too.
const LIFE_MS_MAX: u64 = 1_500;

/// Remembers what was told, to show it when something goes wrong.
#[derive(Default)]
struct Memory(Vec<String>);

impl Narrator for Memory {
    fn chapter(&mut self, title: &str) {
        self.0.push(title.to_owned());
    }

    fn done(&mut self, what: &str) {
        self.0.push(format!("> {what}"));
    }

    fn seen(&mut self, what: &str) {
        self.0.push(format!("= {what}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_anywhere_it_ends_as_if_undisturbed() {
    let undisturbed = tell(0).await.0;
    let mut kills = 0;
    while kills < KILLS_MIN {
        let (disturbed, killed) = tell(KILLS_MIN - kills).await;
        kills += killed;
        assert_eq!(disturbed, undisturbed, "after {killed} kills");
        println!("{kills} kills, the same end each time");
    }
}

/// Tells the story once, with at most `kills_max` kills; returns how it ended and how many there were.
async fn tell(kills_max: usize) -> (Ending, usize) {
    let data = tempdir().expect("a temporary directory");
    let mut process = SystemProcess::new(data.path().join("data"));
    let endpoint = process.endpoint();
    process.start();
    let mut memory = Memory::default();
    let client = Client::new(&endpoint).expect("constant settings");
    let mut kills = 0;
    let told = {
        let mut story = Story::new(&client, &mut memory);
        let telling = story.tell();
        tokio::pin!(telling);
        loop {
            let life = Duration::from_millis(random() % LIFE_MS_MAX);
            tokio::select! {
                told = &mut telling => break told,
                () = tokio::time::sleep(life), if kills < kills_max => {
                    process.kill().await;
                    kills += 1;
                    process.start();
                }
            }
        }
    };
    if let Err(error) = told {
        panic!("after {kills} kills: {error:#}\n{}", memory.0.join("\n"));
    }
    let end = ending(&client).await.expect("the API answers");
    process.kill().await;
    (end, kills)
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    SystemEntropy.fill(&mut bytes);
    u64::from_le_bytes(bytes)
}
