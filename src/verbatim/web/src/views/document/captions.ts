/** The text over the picture of a video. */
import type { Segment } from '$lib/api/types';

/** Show segments as captions of a video; they take the place of those before. */
export function setCaptions(
  video: HTMLVideoElement,
  segments: readonly Segment[],
  shown: boolean,
): void {
  const track = video.textTracks[0] ?? video.addTextTrack('captions');
  // Cues of a track that is switched off cannot be listed.
  track.mode = 'hidden';
  for (const cue of [...(track.cues ?? [])]) track.removeCue(cue);
  for (const { start, end, text } of segments) {
    if (end > start) track.addCue(new VTTCue(start, end, text.trim()));
  }
  track.mode = shown ? 'showing' : 'hidden';
}
