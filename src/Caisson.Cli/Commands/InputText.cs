using System.Text;
using Caisson.Contracts;

namespace Caisson.Cli.Commands;

/// <summary>Reads manifests and inputs: bounded, and as the UTF-8 text that they must be.</summary>
internal static class InputText
{
    /// <summary>What an option gives: a text, @FILE, or - for stdin; <c>null</c> where it is not given.</summary>
    internal static async Task<string?> ReadAsync(string? given, string what, int most, CancellationToken cancellationToken) => given switch
    {
        null => null,
        "-" => await ReadStdinAsync(what, most, cancellationToken),
        ['@', .. var path] => await ReadFileAsync(path, what, most, cancellationToken),
        var text => text,
    };

    private static async Task<string> ReadStdinAsync(string what, int most, CancellationToken cancellationToken)
    {
        await using var stdin = Console.OpenStandardInput();
        return await DecodeAsync(stdin, "stdin", what, most, cancellationToken);
    }

    internal static async Task<string> ReadFileAsync(string path, string what, int most, CancellationToken cancellationToken)
    {
        try
        {
            await using var file = File.OpenRead(path);
            return await DecodeAsync(file, path, what, most, cancellationToken);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw CommandFailure.Usage($"{what}: cannot read '{path}' ({e.Message}): give a readable file");
        }
    }

    private static async Task<string> DecodeAsync(Stream source, string name, string what, int most, CancellationToken cancellationToken)
    {
        using var bytes = new MemoryStream();
        var buffer = new byte[64 * 1024];
        for (int count; (count = await source.ReadAsync(buffer, cancellationToken)) > 0;)
        {
            await bytes.WriteAsync(buffer.AsMemory(0, count), cancellationToken);
            if (bytes.Length > most)
                throw new CommandFailure(ExitCodes.Usage, ErrorCodes.PayloadTooLarge, $"{what}: {name} has more than {most} bytes: put large data into files of the workspace");
        }

        try
        {
            return new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(bytes.GetBuffer(), 0, (int)bytes.Length);
        }
        catch (DecoderFallbackException)
        {
            throw new CommandFailure(ExitCodes.Usage, ErrorCodes.InputInvalid, $"{what}: {name} is not UTF-8 text: convert it first");
        }
    }
}
