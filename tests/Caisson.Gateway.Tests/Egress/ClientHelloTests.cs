using System.Net.Security;
using Caisson.Gateway.Egress.Tls;
using CsCheck;

namespace Caisson.Gateway.Tests.Egress;

public sealed class ClientHelloTests
{
    [Fact]
    public async Task The_name_of_a_real_client_is_read_from_any_cut_of_it()
    {
        var hello = await RealAsync("api.test.example");

        for (var length = 0; length < hello.Length; length++)
            Assert.IsType<HelloRead.More>(ClientHello.Read(hello.AsSpan(0, length)));
        Assert.Equal(new HelloRead.Hello("api.test.example", Hides: false), ClientHello.Read(hello));
    }

    [Fact]
    public async Task A_hello_in_many_records_is_read_too()
    {
        var hello = await RealAsync("api.test.example");
        List<byte> split = [];
        foreach (var piece in hello.Skip(5).Chunk(7))
            split.AddRange([22, 3, 1, 0, (byte)piece.Length, .. piece]);

        Assert.Equal(new HelloRead.Hello("api.test.example", Hides: false), ClientHello.Read([.. split]));
    }

    [Fact]
    public void Other_protocols_are_told_at_once()
    {
        Assert.IsType<HelloRead.Malformed>(ClientHello.Read("GET / HTTP/1.1\r\n"u8));
        Assert.IsType<HelloRead.Malformed>(ClientHello.Read("SSH-2.0-x\r\n"u8));
    }

    [Fact]
    public void An_encrypted_hello_is_seen() =>
        Assert.Equal(new HelloRead.Hello("a.example", Hides: true), ClientHello.Read(Made([0xfe, 0x0d, 0, 1, 0, 0, 0, 0, 14, 0, 12, 0, 0, 9, .. "a.example"u8])));

    [Fact]
    public void Two_names_are_refused() =>
        Assert.IsType<HelloRead.Malformed>(ClientHello.Read(Made([0, 0, 0, 14, 0, 12, 0, 0, 9, .. "a.example"u8, 0, 0, 0, 14, 0, 12, 0, 0, 9, .. "b.example"u8])));

    [Fact]
    public void Any_bytes_get_an_answer()
    {
        var whole = Made([0, 0, 0, 14, 0, 12, 0, 0, 9, .. "a.example"u8]);
        Gen.OneOf(
            Gen.Byte.Array[0, 100],
            Gen.Select(Gen.Int[0, whole.Length - 1], Gen.Byte, Gen.Int[0, whole.Length]).Select((at, value, length) =>
            {
                var bytes = whole.ToArray();
                bytes[at] = value;
                return bytes[..length];
            })).Sample(bytes => ClientHello.Read(bytes) is not null, iter: 20_000);
    }

    private static byte[] Made(byte[] extensions)
    {
        byte[] body = [3, 3, .. new byte[32], 0, 0, 2, 0x13, 1, 1, 0, (byte)(extensions.Length >> 8), (byte)extensions.Length, .. extensions];
        byte[] message = [1, 0, (byte)(body.Length >> 8), (byte)body.Length, .. body];
        return [22, 3, 1, (byte)(message.Length >> 8), (byte)message.Length, .. message];
    }

    private static async Task<byte[]> RealAsync(string name)
    {
        var taken = new Taken();
        await using var client = new SslStream(taken);
        await Assert.ThrowsAnyAsync<IOException>(() => client.AuthenticateAsClientAsync(new SslClientAuthenticationOptions { TargetHost = name }));
        return taken.ToArray();
    }

    /// <summary>Keeps what is written and answers with the end.</summary>
    private sealed class Taken : MemoryStream
    {
        public override int Read(Span<byte> buffer) => 0;

        public override int Read(byte[] buffer, int offset, int count) => 0;

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => ValueTask.FromResult(0);

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => Task.FromResult(0);
    }
}
