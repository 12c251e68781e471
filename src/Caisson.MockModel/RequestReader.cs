using System.Text.Json;
using Caisson.MockModel.Wire;
using Microsoft.AspNetCore.Http;

namespace Caisson.MockModel;

/// <summary>Reads a request off its connection.</summary>
internal static class RequestReader
{
    public static async Task<(Conversation? Conversation, Refusal? Refusal)> ReadAsync(HttpContext context, IWire wire, CancellationToken ending)
    {
        try
        {
            using var body = new MemoryStream();
            await context.Request.Body.CopyToAsync(body, ending);
            using var document = JsonDocument.Parse(body.GetBuffer().AsMemory(0, (int)body.Length));
            return (wire.Read(document.RootElement.Clone()), null);
        }
        catch (BadHttpRequestException e)
        {
            return (null, new Refusal(e.StatusCode, e.Message));
        }
        catch (JsonException)
        {
            return (null, new Refusal(400, "the body is no JSON"));
        }
        catch (InvalidOperationException e)
        {
            // The JSON reader's answer to every value of another kind than asked for.
            return (null, new Refusal(400, $"the body is no request of the wire {wire.Name}: {e.Message}"));
        }
        catch (KeyNotFoundException)
        {
            return (null, new Refusal(400, $"the body must have {wire.Needs}"));
        }
    }

    public static RequestFacts Facts(HttpContext context, IWire wire, Conversation? conversation) => new(
        wire.Name,
        conversation?.Model ?? "",
        Header(context, "Idempotency-Key"),
        Header(context, "Run-Epoch"),
        Header(context, "Attempt"),
        conversation?.Hash ?? "",
        (conversation?.Turns ?? -1) + 1);

    private static string? Header(HttpContext context, string name) => context.Request.Headers[name] is [var value, ..] ? value : null;
}
