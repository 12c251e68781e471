using Caisson.Sandboxes.MicroVm;
using Caisson.Sandboxes.Protocol;
using CsCheck;

namespace Caisson.Sandboxes.Tests.MicroVm;

/// <summary>What comes from a machine's port may be anything.</summary>
public sealed class MuxFramesTests
{
    private static readonly Gen<(uint Channel, MuxType Type, byte[] Payload)> Valid = Gen.OneOf(
        Gen.UInt.Select(c => (c, MuxType.Open, new byte[] { (byte)(c % MuxFrames.Doors) })),
        Gen.Select(Gen.UInt, Gen.Byte.Array[1, 300]).Select((c, bytes) => (c, MuxType.Data, bytes)),
        Gen.Select(Gen.UInt, Gen.UInt).Select((c, credit) => (c, MuxType.Credit, BitConverter.GetBytes(credit))),
        Gen.UInt.Select(c => (c, MuxType.End, Array.Empty<byte>())),
        Gen.UInt.Select(c => (c, MuxType.Gone, Array.Empty<byte>())));

    [Fact]
    public async Task What_is_written_is_read_however_the_stream_is_cut() =>
        await Gen.Select(Valid.Array[0, 8], Gen.Int[1, 40]).SampleAsync(async (frames, cut) =>
        {
            var bytes = frames.SelectMany(f => MuxFrames.Write(f.Channel, f.Type, f.Payload)).ToArray();
            using var stream = new Cut(bytes, cut);
            var buffer = new byte[MuxFrames.Header + MuxFrames.MaxPayload];

            foreach (var (channel, type, payload) in frames)
            {
                var frame = (await MuxFrames.ReadAsync(stream, buffer, default))!.Value;
                Assert.Equal((channel, type), (frame.Channel, frame.Type));
                Assert.Equal(payload, frame.Payload.ToArray());
            }

            Assert.Null(await MuxFrames.ReadAsync(stream, buffer, default));
        });

    [Fact]
    public async Task Any_bytes_are_frames_within_bounds_or_a_protocol_error()
    {
        var plausible = Gen.Select(Gen.Byte[0, 6], Gen.Byte.Array[0, 12]).Select((type, payload) => (byte[])[7, 0, 0, 0, (byte)payload.Length, 0, type, 0, .. payload]);
        await Gen.OneOf(Gen.Byte.Array[0, 200], plausible.Array[0, 5].Select(f => f.SelectMany(b => b).ToArray())).SampleAsync(async bytes =>
        {
            using var stream = new MemoryStream(bytes);
            var buffer = new byte[MuxFrames.Header + MuxFrames.MaxPayload];
            try
            {
                while (await MuxFrames.ReadAsync(stream, buffer, default) is { } frame)
                    Assert.True(Enum.IsDefined(frame.Type) && frame.Payload.Length <= MuxFrames.MaxPayload);
            }
            catch (GuestProtocolException)
            {
            }
        });
    }

    [Theory]
    [InlineData(new byte[] { 1, 0, 0, 0, 1, 0, 1, 0, 3 })]          // a fourth door
    [InlineData(new byte[] { 1, 0, 0, 0, 0, 0, 2, 0 })]             // empty data
    [InlineData(new byte[] { 1, 0, 0, 0, 1, 128, 2, 0 })]           // longer data than may be
    [InlineData(new byte[] { 1, 0, 0, 0, 1, 0, 4, 0, 0 })]          // an end with something in it
    [InlineData(new byte[] { 1, 0, 0, 0, 0, 0, 5, 1 })]             // a last byte that is not zero
    [InlineData(new byte[] { 1, 0, 0, 0, 0, 0, 6, 0 })]             // an unknown type
    public async Task A_frame_that_no_guest_may_send_is_refused(byte[] bytes)
    {
        using var stream = new MemoryStream(bytes);

        await Assert.ThrowsAsync<GuestProtocolException>(async () =>
            await MuxFrames.ReadAsync(stream, new byte[MuxFrames.Header + MuxFrames.MaxPayload], default));
    }

    /// <summary>Answers at most so many bytes at once.</summary>
    private sealed class Cut(byte[] bytes, int most) : MemoryStream(bytes)
    {
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            base.ReadAsync(buffer[..Math.Min(most, buffer.Length)], cancellationToken);
    }
}
