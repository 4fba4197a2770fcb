//! Listening in between two ends of real connections, byte by byte, for inputs of fuzz targets. Knows
//! nothing of what is said.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// What one end has said on one connection.
type Stream = Arc<Mutex<Vec<u8>>>;

/// A tap on one address. Its threads end with the connections, or with the process.
#[derive(Debug)]
pub struct Tap {
    /// Where to connect.
    pub address: SocketAddr,
    streams: Arc<Mutex<Vec<Stream>>>,
}

impl Tap {
    /// Passes connections on to this address.
    #[must_use]
    pub fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let streams = Arc::new(Mutex::new(Vec::new()));
        let recorded = Arc::clone(&streams);
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(target) else { continue };
                let pair = |stream: &TcpStream| stream.try_clone().expect("a descriptor is left");
                copy(pair(&near), pair(&far), record(&recorded));
                copy(far, near, record(&recorded));
            }
        });
        Self { address, streams }
    }

    /// Everything that was said so far, one string for each end of each connection.
    #[must_use]
    pub fn heard(&self) -> Vec<Vec<u8>> {
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.iter().map(|stream| stream.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect()
    }
}

fn record(streams: &Mutex<Vec<Stream>>) -> Stream {
    let stream = Stream::default();
    streams.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&stream));
    stream
}

fn copy(mut from: TcpStream, mut to: TcpStream, heard: Stream) {
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(bytes @ 1..) = from.read(&mut piece) {
            heard.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&piece[..bytes]);
            if to.write_all(&piece[..bytes]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
