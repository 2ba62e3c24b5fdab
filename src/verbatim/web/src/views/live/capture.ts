/** The microphone as blocks of 16-bit samples. */
import workletUrl from './capture.worklet.ts?worker&url';
import { openMicrophone } from '$lib/microphone';

/** What Whisper hears; less to send than what microphones give. */
const WANTED_RATE = 16_000;

export interface Capture {
  /** Samples a second. */
  rate: number;
  stop: () => void;
}

/**
 * Open the microphone.
 *
 * @param onblock is given a tenth of a second at a time.
 * @param onlost is called when the microphone was pulled out.
 * @throws MicrophoneError
 */
export async function capture(
  deviceId: string,
  onblock: (samples: Int16Array) => void,
  onlost: () => void,
): Promise<Capture> {
  const stream = await openMicrophone({
    ...(deviceId ? { deviceId: { exact: deviceId } } : {}),
    channelCount: 1,
    autoGainControl: true,
    // Whisper was trained on noisy sound; what these cut away cannot be recognised.
    noiseSuppression: false,
    echoCancellation: false,
  });
  const { context, source } = listen(stream);
  const stop = (): void => {
    for (const track of stream.getTracks()) track.stop();
    void context.close();
  };
  try {
    await context.audioWorklet.addModule(workletUrl);
    await context.resume();
  } catch (error) {
    stop();
    throw error;
  }
  const node = new AudioWorkletNode(context, 'capture', { numberOfOutputs: 0 });
  node.port.onmessage = ({ data }) => onblock(data as Int16Array);
  source.connect(node);
  for (const track of stream.getTracks()) track.onended = onlost;
  return { rate: context.sampleRate, stop };
}

/** At 16 kHz where the browser can change a microphone's rate; Firefox cannot. */
function listen(stream: MediaStream): {
  context: AudioContext;
  source: MediaStreamAudioSourceNode;
} {
  let context = new AudioContext({ sampleRate: WANTED_RATE });
  try {
    return { context, source: context.createMediaStreamSource(stream) };
  } catch {
    void context.close();
    context = new AudioContext();
    return { context, source: context.createMediaStreamSource(stream) };
  }
}

export interface Microphone {
  id: string;
  name: string;
}

/** The microphones; their names are known once one was allowed. */
export async function microphones(): Promise<Microphone[]> {
  const devices = navigator.mediaDevices as MediaDevices | undefined;
  const found = (await devices?.enumerateDevices()) ?? [];
  return found
    .filter(({ kind, deviceId, label }) => kind === 'audioinput' && deviceId && label)
    .map(({ deviceId, label }) => ({ id: deviceId, name: label }));
}
