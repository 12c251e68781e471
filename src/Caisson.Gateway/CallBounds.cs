using Caisson.Core.Models;
using Caisson.Gateway.Prices;

namespace Caisson.Gateway;

/// <summary>
/// How large a call can become at most. A hold must be an upper bound of the bill, or a budget is a wish: one token per
/// byte of the request (tokens are made of bytes), and room for what providers add around messages and tools.
/// </summary>
internal static class CallBounds
{
    /// <summary>No provider reads more; one that stops reading would look like a broken connection, and be asked again.</summary>
    public const int MaxRequestBytes = 16 << 20;

    private const int PerMessage = 16;
    private const int PerTool = 32;

    // Providers put an unseen prompt of up to about 550 tokens before tools.
    private const int ForTools = 640;
    private const int ForCall = 64;

    // English and code run at about four bytes a token; three errs to the dear side.
    private const int BytesPerToken = 3;

    /// <summary>Most output tokens of the answer: what the client, the provider's settings and half of the model's context allow.</summary>
    public static int ClampOutput(int? client, int cap, long? context)
    {
        var bound = Math.Min(client ?? cap, cap);
        if (context is { } size)
            bound = (int)Math.Min(bound, Math.Max(size / 2, 1));
        return Math.Max(bound, 1);
    }

    /// <summary>Of an agent's own loop. An answer that is cut short would pass for its last word: what does not fit whole is denied.</summary>
    /// <param name="price"><c>null</c>: unpriced, where no money is capped; tokens are held all the same.</param>
    public static CallSize Size(ModelRequest request, int bodyBytes, int maxOutput, ModelPrice? price) =>
        new(MaxInput(request, bodyBytes), maxOutput, LeastOutput: maxOutput, Choices: 1, price);

    public static long MaxInput(ModelRequest request, int bodyBytes) =>
        bodyBytes + Overhead(request.Messages.Count, request.Tools.Count);

    /// <summary>A count for a provider that gives none. Never 0.</summary>
    public static TokenUsage Estimate(int bodyBytes, ModelAnswer answer)
    {
        var outputBytes = (long)Bytes(answer.Text) + answer.Calls.Sum(c => (long)Bytes(c.Name) + Bytes(c.Arguments));
        return new TokenUsage(Tokens(bodyBytes), Tokens(outputBytes), Estimated: true);
    }

    /// <summary>The same for an answer that was only handed through.</summary>
    public static TokenUsage EstimateBytes(long bodyBytes, long outputBytes) => new(Tokens(bodyBytes), Tokens(outputBytes), Estimated: true);

    /// <summary>A word that is added to a request.</summary>
    public static long OfNote(string? note) => note is null ? 0 : Bytes(note) + PerMessage * 2;

    /// <summary>What providers add around the messages and tools of one call.</summary>
    internal static long Overhead(int messages, int tools) =>
        ForCall + (long)PerMessage * (messages + 1) + (tools > 0 ? ForTools + (long)PerTool * tools : 0);

    private static long Tokens(long bytes) => Math.Max(1, (bytes + BytesPerToken - 1) / BytesPerToken);

    private static int Bytes(string text) => System.Text.Encoding.UTF8.GetByteCount(text);
}
