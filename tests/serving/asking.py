"""Requests as both clients send them, without the clients."""

HERE = "http://127.0.0.1:8000"
MISTRAL = {"User-Agent": "mistral-client-python/1.9.3"}


def upload(client, data, purpose="fine-tune", name="chips.jsonl", **fields):
    sent = {"purpose": purpose, **fields}
    response = client.post("/v1/files", data=sent, files={"file": (name, data)})
    assert response.status_code == 200, response.text
    return response.json()


def error_of(response, status):
    assert response.status_code == status, response.text
    return response.json()["error"]
