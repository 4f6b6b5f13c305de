//! Pictures into one file: encoded by Cisco's OpenH264, in the order that they are shown.

use std::io;
use std::path::Path;

use openh264::encoder::{
    Encoder, EncoderConfig, FrameRate, FrameType, RateControlMode, SpsPpsStrategy, UsageType, VuiConfig,
};
use openh264::{OpenH264API, Timestamp};

use super::canvas::Canvas;
use super::mp4::{Mp4, Parameters};

/// A picture that needs no other comes after this time at the latest, milliseconds: who jumps into a video waits for one.
const JUMP: u64 = 10_000;
const SEQUENCE: u8 = 7;
const PICTURE: u8 = 8;

/// Why a picture could not be added.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The encoder's own words.
    #[error("the H.264 encoder failed: {0}")]
    Encode(#[from] openh264::Error),
    /// The system's.
    #[error("{0}")]
    Write(#[from] io::Error),
}

/// One file in the making.
pub(super) struct Film {
    encoder: Encoder,
    /// What is added next.
    pub(super) canvas: Canvas,
    file: Option<Mp4>,
    /// When a picture has to come that needs no other.
    jump: u64,
    /// Pictures in the file.
    pub(super) frames: u64,
}

impl Film {
    /// A film whose canvas has room for a picture of that size, pixels, with `rate` pictures a second at most.
    pub(super) fn new(width: usize, height: usize, rate: f32) -> Result<Self, Trouble> {
        let config = EncoderConfig::new()
            .usage_type(UsageType::ScreenContentRealTime)
            .rate_control_mode(RateControlMode::Off)
            .sps_pps_strategy(SpsPpsStrategy::ConstantId)
            .max_frame_rate(FrameRate::from_hz(rate))
            .skip_frames(false)
            // The two do nothing for screens but print warnings.
            .adaptive_quantization(false)
            .background_detection(false)
            .num_threads(1)
            .vui(VuiConfig::bt709());
        let encoder = Encoder::with_api_config(OpenH264API::from_source(), config)?;
        Ok(Self { encoder, canvas: Canvas::for_picture(width, height), file: None, jump: 0, frames: 0 })
    }

    /// Adds what the canvas shows, from `at` on, milliseconds. The first one makes the file at `path`.
    pub(super) fn add(&mut self, path: &Path, at: u64) -> Result<(), Trouble> {
        if at >= self.jump {
            self.encoder.force_intra_frame();
            self.jump = at + JUMP;
        }
        let coded = self.encoder.encode_at(&self.canvas, Timestamp::from_millis(at))?;
        let sync = matches!(coded.frame_type(), FrameType::IDR);
        let (mut sequence, mut picture, mut sample) = (Vec::new(), Vec::new(), Vec::new());
        for layer in (0..coded.num_layers()).filter_map(|n| coded.layer(n)) {
            for unit in (0..layer.nal_count()).filter_map(|n| layer.nal_unit(n)) {
                let unit = unit.strip_prefix(&[0, 0, 0, 1]).or(unit.strip_prefix(&[0, 0, 1])).unwrap_or(unit);
                match unit.first().map(|first| first & 0x1f) {
                    Some(SEQUENCE) => sequence = unit.to_vec(),
                    Some(PICTURE) => picture = unit.to_vec(),
                    Some(_) => {
                        sample.extend((unit.len() as u32).to_be_bytes());
                        sample.extend(unit);
                    }
                    None => {}
                }
            }
        }
        if sample.is_empty() {
            // Nothing that is seen has changed.
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let (width, height) = self.canvas.size();
                let parameters = Parameters { sequence: &sequence, picture: &picture };
                self.file.insert(Mp4::create(path, (width as u16, height as u16), &parameters)?)
            }
        };
        file.add(at, sync, &sample)?;
        self.frames += 1;
        Ok(())
    }

    /// The last picture is still shown at `now`, milliseconds.
    pub(super) fn lasts_until(&mut self, now: u64) -> Result<(), Trouble> {
        match &mut self.file {
            Some(file) => Ok(file.lasts_until(now)?),
            None => Ok(()),
        }
    }

    /// Ends the file at `now`, milliseconds.
    pub(super) fn finish(self, now: u64) -> Result<(), Trouble> {
        match self.file {
            Some(file) => Ok(file.finish(now)?),
            None => Ok(()),
        }
    }
}
