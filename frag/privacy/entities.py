"""The types of personal data that a policy may name, by Presidio's names for them."""

from collections.abc import Iterable

from frag.errors import SettingsError

PATTERN_TYPES = (
    "EMAIL_ADDRESS",
    "CREDIT_CARD",
    "US_SSN",
    "IBAN_CODE",
    "PHONE_NUMBER",
    "IP_ADDRESS",
    "STREET_ADDRESS",
    "NATIONAL_ID",
)
"""Found by form alone, in any context and without a model."""

NER_TYPES = ("PERSON", "LOCATION", "NRP", "ORGANIZATION", "DATE_TIME")
"""Found by the named-entity model. All but PERSON are off by default: they are what questions ask for."""

RECOGNIZER_CLASSES = {
    "CRYPTO": "CryptoRecognizer",
    "MEDICAL_LICENSE": "MedicalLicenseRecognizer",
    "MAC_ADDRESS": "MacAddressRecognizer",
    "US_PASSPORT": "UsPassportRecognizer",
    "US_ITIN": "UsItinRecognizer",
    "US_DRIVER_LICENSE": "UsLicenseRecognizer",
    "US_BANK_NUMBER": "UsBankRecognizer",
    "US_MBI": "UsMbiRecognizer",
    "UK_NHS": "NhsRecognizer",
    "UK_NINO": "UkNinoRecognizer",
    "CA_SIN": "CaSinRecognizer",
    "AU_TFN": "AuTfnRecognizer",
    "AU_MEDICARE": "AuMedicareRecognizer",
    "IN_AADHAAR": "InAadhaarRecognizer",
    "IN_PAN": "InPanRecognizer",
    "SG_NRIC_FIN": "SgFinRecognizer",
    "ES_NIF": "EsNifRecognizer",
    "IT_FISCAL_CODE": "ItFiscalCodeRecognizer",
    "PL_PESEL": "PlPeselRecognizer",
    "DE_TAX_ID": "DeTaxIdRecognizer",
    "DE_SOCIAL_SECURITY": "DeSocialSecurityRecognizer",
}
"""Further types, each with its class in `presidio_analyzer.predefined_recognizers`."""

ENTITY_TYPES = (*PATTERN_TYPES, *NER_TYPES, *RECOGNIZER_CLASSES)


def check_entity_types(entity_types: Iterable[str]) -> None:
    """Refuses a policy that names a type which nothing here would find.

    Raises:
        SettingsError: A type is unknown; lists the known ones.
    """
    if unknown := sorted(set(entity_types) - set(ENTITY_TYPES)):
        raise SettingsError(
            f"entity_types names {', '.join(unknown)}, which no recogniser finds.",
            f"Use only: {', '.join(sorted(ENTITY_TYPES))}.",
            unknown=unknown,
        )
