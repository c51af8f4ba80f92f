"""The reference of the API as a page, and the description that it is made from."""

from collections import Counter

from flask.testing import FlaskClient

from tests.support.page_document import Document


def test_the_reference_describes_every_operation_and_its_body(client: FlaskClient) -> None:
    answer = client.get("/docs")
    assert answer.status_code == 200
    document = Document(answer.text)
    assert not document.wrong
    spec = client.get("/openapi.json").get_json()
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            assert f"{method.upper()} {path}" in document.text
            assert operation["summary"].partition("`")[0].strip() in document.text
    for part in (
        "Body, application/json source string",
        "name string, required",
        "batch keep | free",
        "files list of file All files of the model;",
        "Which signature of a SavedModel",
        "202 The job was accepted",
    ):
        assert part in document.text, part
    assert not document.all("script")
    ids = Counter(attributes["id"] for _, attributes in document.elements if "id" in attributes)
    assert set(ids.values()) == {1}
    anchors = {str(a["href"])[1:] for a in document.all("a") if str(a["href"]).startswith("#")}
    assert anchors - {"main"} <= set(ids)
    assert "`" not in document.text


def test_the_description_of_the_api_holds_the_schemas_of_what_is_sent_and_given(
    client: FlaskClient,
) -> None:
    spec = client.get("/openapi.json").get_json()
    schemas = spec["components"]["schemas"]
    assert {"FreezeRequest", "InspectionRequest", "Inspection", "Version"} <= set(schemas)
    body = spec["paths"]["/v1/inspections"]["post"]["requestBody"]["content"]
    reference = "#/components/schemas/SourceInspectionRequest"
    assert body["application/json"]["schema"] == {"$ref": reference}
    assert body["multipart/form-data"]["schema"] == {"$ref": "#/components/schemas/InspectionForm"}
    assert set(schemas["InspectionForm"]["properties"]) == {
        *("files", "archive", "labels", "options")
    }
    assert "name" in schemas["FreezeRequest"]["required"]
    assert spec["servers"] == [{"url": "/"}]
